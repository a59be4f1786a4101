"""Inputs of a shape that an imported network does not take: which one, and a shape that it would take.

    fitting(name, f, p, inputs, shapes) -> f(p, inputs)

No module tells what it takes. Where a call fails, and its trace by shapes alone fails too, it is traced again with one
input of another shape: that of the example or the file, then with each width that an axis of the parameters has. The
first of so many that is taken is named. An error that no such shape mends stays what it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jnn.param import Params, array_type

Shape = tuple[int | None, ...]  # None for what is free
TRIES = 64  # traces for each input: one may take seconds


def shapes_of(inputs: Any) -> dict[str, Shape]:
    """The shapes of examples by path, as `fitting` takes them.

    >>> shapes_of((jnp.ones((1, 8)), {"mask": jnp.ones(3)}))
    {'[0]': (1, 8), "[1]['mask']": (3,)}
    """
    found = jax.tree.leaves_with_path(inputs)
    return {jax.tree_util.keystr(path): tuple(x.shape) for path, x in found if hasattr(x, "shape")}


def fitting(
    name: str, f: Callable[[Params, Any], Any], p: Params, inputs: Any, shapes: Mapping[str, Shape] | None = None
) -> Any:
    """Outputs of an imported function; where it fails for the shape of an input, an error that names one that fits.

    Args:
      name: of the function that has imported it.
      f: parameters, and a tree of inputs -> outputs.
      p, inputs: of the call.
      shapes: those that are known when it is imported, by path.

    Raises:
      ValueError: with another shape of one input the call would do.
    """
    try:
        return f(p, inputs)
    except Exception as error:
        if said := _misfit(f, p, inputs, shapes or {}):
            raise ValueError(f"{name}: {said}") from error
        raise


def _misfit(f: Callable[[Params, Any], Any], p: Params, inputs: Any, shapes: Mapping[str, Shape]) -> str | None:
    """Which input is of a shape that is not taken, and one that is; None where that is not what is wrong."""
    leaves, structure = jax.tree.flatten(inputs)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(inputs)]
    found = {i: _abstract(x) for i, x in enumerate(leaves) if _is_traced(x)}
    whole = lambda arrays: jax.tree.unflatten(structure, [arrays.get(i, x) for i, x in enumerate(leaves)])
    taken = lambda arrays: _is_taken(lambda p, arrays: f(p, whole(arrays)), p, arrays)
    if taken(found):
        return None
    for i, x in found.items():
        for shape in itertools.islice(_others(x.shape, shapes.get(paths[i]), _widths(p)), TRIES):
            other = jax.ShapeDtypeStruct(shape, x.dtype)
            if shape != x.shape and taken({**found, i: other}):
                return f"expected a shape such as {array_type(other)} for inputs{paths[i]}, found {array_type(x)}."
    return None


def _is_taken(f: Callable[..., Any], *arrays: Any) -> bool:
    """Whether a function can be traced with arrays of these shapes."""
    try:
        jax.eval_shape(f, *arrays)
    except Exception:
        return False
    return True


def _widths(p: Params) -> list[int]:
    """Sizes of the parameters' axes as they come, each once; 1, which fits too much, as the last."""
    sizes = dict.fromkeys(n for w in jax.tree.leaves(p) for n in getattr(w, "shape", ()))
    return sorted(sizes, key=lambda n: n == 1)


def _others(found: tuple[int, ...], known: Shape | None, widths: list[int]) -> Iterator[tuple[int, ...]]:
    """Shapes in place of one: examples as they come, and channels last or first."""
    if known is not None:
        like = found if len(found) == len(known) else (1,) * len(known)
        whole = tuple(n if given is None else given for n, given in zip(like, known, strict=True))
        yield (*like[:1], *whole[1:])
        yield whole
    for axis in dict.fromkeys((len(found) - 1, 1)[: len(found)]):
        yield from ((*found[:axis], n, *found[axis + 1 :]) for n in widths)


def _is_traced(x: Any) -> bool:
    """Whether an input may be a tracer: integers of NumPy, of which shapes are made, and what is no array stay."""
    return isinstance(x, jax.Array) or (hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact))


def _abstract(x: Any) -> Any:
    return jax.eval_shape(lambda x: x, x)
