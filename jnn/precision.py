"""Precision: sums are computed in float32 at least, products in the dtype that a step computes in.

wide(x)                     statistics, softmax, losses and metrics: float32, or wider where x is
computing(dtype)            what a step traces its loss in
narrow(x)                   what a layer multiplies with its weights: in the dtype in force, if that has fewer bits
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

# a part of the key of every `jit`, so that what was traced in one dtype is never used for another
_in_force = jax.make_user_context(default_value=None)


@contextlib.contextmanager
def computing(dtype: DTypeLike | None) -> Iterator[None]:
    """Has layers multiply in a dtype, whatever the loss made of its input; None leaves that to the input.

    A step that is given a `compute_dtype` traces its loss within. `computing(None)` around a layer takes it out again.

    >>> with computing(jnp.bfloat16):
    ...     narrow(jnp.ones(2)).dtype
    dtype(bfloat16)
    """
    with _in_force(None if dtype is None else jnp.dtype(dtype)):
        yield


def narrow(x: jax.Array) -> jax.Array:
    """x in the dtype in force, where that is a narrower float than x's: as it is otherwise."""
    dtype = _in_force.value
    if dtype is None or not jnp.issubdtype(x.dtype, jnp.floating) or jnp.finfo(dtype).bits >= jnp.finfo(x.dtype).bits:
        return x
    return x.astype(dtype)


def wide(x: jax.Array) -> jax.Array:
    """x in float32, or as it is where that would lose digits.

    >>> wide(jnp.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
