"""Values of arrays, where they are known: labels, lengths, probabilities, and what a dtype cannot hold.

in_range(layer, labels, classes)                labels are classes
lengths(layer, found, most, of="tokens")        lengths are counts of what there is
in_unit_interval(layer, what, x)                probabilities, and nothing that is none
held(where, name, array), held_all              JAX makes the same numbers of these
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def in_range(layer: str, labels: jax.Array, classes: int, *, what: str = "labels", of: str = "classes") -> None:
    """Raises if concrete labels leave 0..classes-1. Under `jit` values are unknown: nothing is checked."""
    _at_most(layer, labels, classes - 1, what, f"{classes} {of}")


def lengths(layer: str, found: jax.Array, most: int, *, of: str, what: str = "lengths") -> None:
    """Raises if concrete lengths leave 0..most, the number of steps, tokens or whatever is counted."""
    _at_most(layer, found, most, what, f"there are {most} {of}")


def _at_most(layer: str, x: jax.Array, most: int, what: str, why: str) -> None:
    if isinstance(x, jax.core.Tracer):
        return
    values = np.asarray(x)  # in NumPy: while something else is traced, even jnp.min(constant) is a tracer
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > most:
        raise ValueError(f"{layer}: expected {what} in 0..{most} ({why}), found {low}..{high}.")


def in_unit_interval(layer: str, what: str, x: jax.Array, *, tolerance: float = 0.0, advice: str = "") -> None:
    """Raises if concrete values leave [0, 1], as NaN does. Under `jit` values are unknown: nothing is checked."""
    if isinstance(x, jax.core.Tracer):
        return
    values = np.asarray(x)
    if not ((values >= -tolerance) & (values <= 1 + tolerance)).all():
        found = f"found values from {values.min()} to {values.max()}"
        raise ValueError(f"{layer}: expected {what} in [0, 1], {found}.{advice}")


def held(where: str, name: str, array: Any) -> None:
    """Raises if JAX would make other integers, or infinities, of these values: 2**40 wraps around in 32 bits.

    >>> held("Batches", "ids", np.array([7, 2**40]))
    Traceback (most recent call last):
    ValueError: Batches: 'ids' holds 1099511627776, first in row 1, beyond the int32 that JAX makes of int64.
    Renumber it, or set jax_enable_x64.
    """
    narrow = jax.dtypes.canonicalize_dtype(array.dtype) if array.dtype.itemsize >= 8 else array.dtype
    if narrow == array.dtype or not array.size:
        return
    if array.dtype.kind in "iu":
        info: Any = np.iinfo(narrow)
        outside = (array < info.min) | (array > info.max)
    else:
        outside = np.abs(array) > np.finfo(narrow).max
    if outside.any():
        first = f", first in row {np.argwhere(outside)[0][0]}" if array.ndim else ""
        raise ValueError(
            f"{where}: {name!r} holds {array[outside][0]}{first}, beyond the {narrow} that JAX makes of {array.dtype}. "
            "Renumber it, or set jax_enable_x64."
        )


def held_all(where: str, batch: Any) -> None:
    """`held` of every NumPy array of a tree."""
    for path, x in jax.tree_util.tree_leaves_with_path(batch):
        if isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "iuf":
            held(where, jax.tree_util.keystr(path, simple=True, separator="/"), np.asarray(x))
