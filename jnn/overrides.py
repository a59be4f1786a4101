"""Layers that a parallel run computes in another way, without the model's knowledge.

    with override(dot_product_attention=f): ...         what is traced within calls f instead
    overridden("dot_product_attention", default) -> function
                                                        what a layer asks when it is called

Laws: a replacement is the same function of the same arguments; only where and in which order it computes differs. None
puts the layer's own back in force: a replacement that computes its pieces by the layer itself says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax

F = TypeVar("F", bound=Callable)
Replacements = tuple[tuple[str, Callable | None], ...]

# a part of the key of every `jit`, so that what was traced with one function is never used with another
_in_force = jax.make_user_context(default_value=())


@contextlib.contextmanager
def override(**functions: Callable | None) -> Iterator[None]:
    """Overrides: puts other functions in force for what is traced, or run, within; also a decorator, of a loss say.

    >>> with override(dot_product_attention=max):
    ...     overridden("dot_product_attention", min)(1, 2), overridden("experts", min)(1, 2)
    (2, 1)
    """
    now: Replacements = _in_force.value
    with _in_force(tuple(sorted({**dict(now), **functions}.items()))):
        yield


def overridden(name: str, default: F) -> F:
    """The function in force for a name, or the default."""
    found: F | None = dict(_in_force.value).get(name)
    return default if found is None else found
