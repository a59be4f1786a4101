"""Primitives that move elements, sort them, and sum them up, in terms of others: rules, as in `_terms_elements`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax


def padded(eqn: Any, x: Any, value: Any) -> Any:
    """`pad`: x between blocks of a value, and its elements, too."""
    return padding(x, value, eqn.params["padding_config"])


def padding(x: Any, value: Any, config: Sequence[tuple[int, int, int]]) -> Any:
    """x with a value in front, behind and between the elements of each axis: (low, high, between)."""
    for axis, (low, high, inner) in enumerate(config):
        x = _apart(x, value, axis, inner) if inner and x.shape[axis] != 0 else x
        x = framed(x, value, axis, max(0, low), max(0, high))
        if min(low, high) < 0:  # of what lies in front or behind, too
            x = lax.slice_in_dim(x, max(0, -low), x.shape[axis] - max(0, -high), axis=axis)
    return x


def framed(x: Any, value: Any, axis: int, low: int, high: int) -> Any:
    """x between `low` and `high` times the value along an axis."""
    parts = [*([_block(x, value, axis, low)] if low else []), x, *([_block(x, value, axis, high)] if high else [])]
    return lax.concatenate(parts, axis) if len(parts) > 1 else x


def _block(x: Any, value: Any, axis: int, n: int) -> Any:
    return lax.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, x.dtype)


def _apart(x: Any, value: Any, axis: int, inner: int) -> Any:
    """x with `inner` times the value between its elements along an axis."""
    columns = lax.expand_dims(x, (axis + 1,))
    wide = lax.concatenate([columns, _block(columns, value, axis + 1, inner)], axis + 1)
    n = x.shape[axis] * (inner + 1)
    return lax.slice_in_dim(lax.reshape(wide, (*x.shape[:axis], n, *x.shape[axis + 1 :])), 0, n - inner, axis=axis)


def running_sum(eqn: Any, x: Any) -> Any:
    """`cumsum`: sums of the windows that end at each element, or begin there."""
    axis, n = eqn.params["axis"], x.shape[eqn.params["axis"]]
    if n == 0:
        return x
    window = tuple(n if i == axis else 1 for i in range(x.ndim))
    pads = [((n - 1, 0) if i == axis else (0, 0)) for i in range(x.ndim)]
    turned = lambda x: lax.rev(x, (axis,)) if eqn.params["reverse"] else x
    zero = np.zeros((), x.dtype)
    return turned(lax.reduce_window(turned(x), zero, lax.add, window, (1,) * x.ndim, pads))


def sorted_by_top_k(eqn: Any, *operands: Any) -> list[Any]:
    """`sort`: the order of the last key, and of each before it the order that keeps that, as the greatest first."""
    axis = eqn.params["dimension"]
    rows = [jnp.moveaxis(x, axis, -1) for x in operands]
    order = None
    for key in rows[: eqn.params["num_keys"]][::-1]:
        n = key.shape[-1]
        found = lax.top_k(_falling(key if order is None else _taken(key, order)), n)[1]
        order = found if order is None else _taken(order, found)
    return [jnp.moveaxis(_taken(x, order), -1, axis) for x in rows]


def _falling(key: Any) -> Any:
    """Integers that are greater where the key is less: of floats by their bits, zeros as one, and NaN as the last."""
    if jnp.issubdtype(key.dtype, jnp.floating):
        return ~_ascending(key)
    if key.dtype == jnp.uint64 or key.dtype == jnp.uint32:
        whole = jnp.int64 if key.dtype == jnp.uint64 else jnp.int32
        return ~(lax.convert_element_type(key, whole) + jnp.asarray(jnp.iinfo(whole).min, whole))
    return ~(key if key.dtype == jnp.int64 else key.astype(jnp.int32))


def _ascending(key: Any) -> Any:
    """Integers in the order of floats."""
    key = key.astype(jnp.float32) if key.dtype.itemsize < 4 else key
    whole = jnp.int32 if key.dtype == jnp.float32 else jnp.int64
    bits, most = lax.bitcast_convert_type(key, whole), jnp.asarray(jnp.iinfo(whole).max, whole)
    order = jnp.where(key == 0, 0, jnp.where(bits < 0, bits ^ most, bits))
    return jnp.where(key != key, most, order)


def _taken(x: Any, order: Any) -> Any:
    return jnp.take_along_axis(x, order, -1, mode="promise_in_bounds")


def sorted_by_rank(eqn: Any, *operands: Any) -> list[Any] | None:
    """`sort` along an axis of any size: each element goes where as many places are as there are before it."""
    axis, keys = eqn.params["dimension"], operands[: eqn.params["num_keys"]]
    if isinstance(operands[0].shape[axis], int):
        return None
    here, there = (lambda x: lax.expand_dims(x, (axis + 1,))), (lambda x: lax.expand_dims(x, (axis,)))
    numbers = lax.broadcasted_iota(jnp.int32, operands[0].shape, axis)
    before = there(numbers) < here(numbers)  # whether the one of the second axis precedes that of the first
    for key in keys[::-1]:
        less, equal = there(key) < here(key), there(key) == here(key)
        if jnp.issubdtype(key.dtype, jnp.inexact):  # NaN is the last
            good = key == key
            less, equal = less | (there(good) & ~here(good)), equal | ~(there(good) | here(good))
        before = less | (equal & before)
    rank = jnp.sum(before, axis + 1, dtype=jnp.int32)
    chosen = here(numbers) == there(rank)
    return [jnp.sum(jnp.where(chosen, there(x), 0), axis + 1, dtype=x.dtype) for x in operands]
