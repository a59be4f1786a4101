"""Primitives in terms of others, for converters that lack them: rules of an equation and its operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda _, new: new,
    "scatter-add": lax.add,
    "scatter-mul": lax.mul,
    "scatter-min": lax.min,
    "scatter-max": lax.max,
}


def ordered(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Comparisons of the total order, which of integers is the usual one."""
    return lambda _, x, y: None if jnp.issubdtype(jnp.result_type(x, y), jnp.inexact) else compare(x, y)


def padded(eqn: Any, x: Any, value: Any) -> Any:
    """`pad`: x between blocks of a value, and its elements, too."""
    return _padded(x, value, eqn.params["padding_config"])


def _padded(x: Any, value: Any, config: Sequence[tuple[int, int, int]]) -> Any:
    for axis, (low, high, inner) in enumerate(config):
        x = _apart(x, value, axis, inner) if inner and x.shape[axis] != 0 else x
        if min(low, high) < 0:
            x = lax.slice_in_dim(x, max(0, -low), x.shape[axis] - max(0, -high), axis=axis)
        x = _framed(x, value, axis, max(0, low), max(0, high))
    return x


def _framed(x: Any, value: Any, axis: int, low: int, high: int) -> Any:
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
    """What is greater where the key is less."""
    if jnp.issubdtype(key.dtype, jnp.floating):
        return -key
    return ~key.astype(jnp.int32)


def _taken(x: Any, order: Any) -> Any:
    return jnp.take_along_axis(x, order, -1, mode="promise_in_bounds")


def scattered(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter-add` and its kind: windows one after another, without those that do not lie inside."""
    dims, combine = eqn.params["dimension_numbers"], COMBINED[eqn.primitive.name]
    kept = [axis for axis in range(updates.ndim) if axis not in dims.update_window_dims]
    dropped = (*dims.inserted_window_dims, *dims.operand_batching_dims)
    sizes = iter(updates.shape[axis] for axis in dims.update_window_dims)
    window = tuple(1 if axis in dropped else next(sizes) for axis in range(x.ndim))
    count = math.prod(indices.shape[:-1])
    rows = lax.transpose(updates, (*kept, *dims.update_window_dims)).reshape(count, *window)
    starts = _starts(dims, indices, x.ndim).reshape(count, x.ndim)
    ends = np.subtract(x.shape, window).astype(np.int32)[None]
    clipped = jnp.minimum(jnp.maximum(starts, 0), ends)
    inside = jnp.all(starts == clipped, -1) | _clips(eqn)

    def step(x: Any, row: Sequence[Any]) -> tuple[Any, None]:
        start, there, new = row
        old = lax.dynamic_slice(x, start, window)
        return lax.dynamic_update_slice(
            x, lax.select(jnp.broadcast_to(there, window), combine(old, new), old), start
        ), None

    return lax.scan(step, x, (clipped, inside, rows))[0]


def scattered_of_batches(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter` for what knows it of one batch alone, and drops what lies outside."""
    plain = not eqn.params["dimension_numbers"].operand_batching_dims and not _clips(eqn)
    return None if plain else scattered(eqn, x, indices, updates)


def scattered_by_all_indices(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter` of batches: where the place in the batch is an index, too."""
    dims = eqn.params["dimension_numbers"]
    if not dims.operand_batching_dims:
        return None
    places = [lax.broadcasted_iota(jnp.int32, indices.shape, axis) for axis in dims.scatter_indices_batching_dims]
    whole = lax.concatenate([*(place[..., :1] for place in places), indices], indices.ndim - 1)
    flat = lax.ScatterDimensionNumbers(
        dims.update_window_dims,
        tuple(sorted((*dims.inserted_window_dims, *dims.operand_batching_dims))),
        (*dims.operand_batching_dims, *dims.scatter_dims_to_operand_dims),
    )
    return eqn.primitive.bind(x, whole, updates, **eqn.params | {"dimension_numbers": flat})


def _clips(eqn: Any) -> bool:
    return eqn.params["mode"] is not None and eqn.params["mode"].name == "CLIP"


def _starts(dims: Any, indices: Any, rank: int) -> Any:
    """Where windows begin, on all axes of the operand."""
    columns = [jnp.zeros(indices.shape[:-1], jnp.int32)] * rank
    for i, axis in enumerate(dims.scatter_dims_to_operand_dims):
        columns[axis] = indices[..., i].astype(jnp.int32)
    for axis, own in zip(dims.operand_batching_dims, dims.scatter_indices_batching_dims, strict=True):
        columns[axis] = lax.broadcasted_iota(jnp.int32, indices.shape[:-1], own)
    return jnp.stack(columns, -1)


def gathered_of_one(eqn: Any, x: Any, _: Any) -> Any:
    """`gather` of windows that are the whole, wherever they are said to be."""
    dims, out = eqn.params["dimension_numbers"], eqn.outvars[0].aval.shape
    if tuple(eqn.params["slice_sizes"]) != x.shape or eqn.params["mode"].name not in ("CLIP", "PROMISE_IN_BOUNDS"):
        return None
    kept = [
        n for axis, n in enumerate(x.shape) if axis not in (*dims.collapsed_slice_dims, *dims.operand_batching_dims)
    ]
    return lax.broadcast_in_dim(lax.reshape(x, kept), out, dims.offset_dims)


def convolved_by_planes(eqn: Any, x: Any, w: Any) -> Any:
    """`conv_general_dilated` of three axes: of two, whose channels are those of all planes that a window has."""
    p, dims = eqn.params, eqn.params["dimension_numbers"]
    if len(dims.lhs_spec) != 5 or p["feature_group_count"] != 1 or p["lhs_dilation"][0] != 1:
        return None
    x = lax.transpose(x, (dims.lhs_spec[0], *dims.lhs_spec[2:], dims.lhs_spec[1]))
    w = lax.transpose(w, (*dims.rhs_spec[2:], dims.rhs_spec[1], dims.rhs_spec[0]))
    x = _framed(x, 0, 1, *p["padding"][0])
    step, apart = p["window_strides"][0], p["rhs_dilation"][0]
    planes = (x.shape[1] - apart * (w.shape[0] - 1) - 1) // step + 1
    taps = [x[:, i * apart : i * apart + step * (planes - 1) + 1 : step] for i in range(w.shape[0])]
    flat = lax.concatenate(taps, 4).reshape(x.shape[0] * planes, *x.shape[2:4], -1)
    kernel = lax.transpose(w, (1, 2, 0, 3, 4)).reshape(*w.shape[1:3], -1, w.shape[4])
    how = {name: p[name][1:] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation")}
    y = lax.conv_general_dilated(
        flat, kernel, **how, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=p["precision"]
    )
    order = np.argsort((dims.out_spec[0], *dims.out_spec[2:], dims.out_spec[1]))
    return lax.transpose(y.reshape(x.shape[0], planes, *y.shape[1:]), order.tolist())


def sorted_by_rank(eqn: Any, *operands: Any) -> list[Any] | None:
    """`sort` along an axis of any size: each element goes where as many places are as there are before it."""
    axis, keys = eqn.params["dimension"], operands[: eqn.params["num_keys"]]
    if isinstance(operands[0].shape[axis], int):
        return None
    here, there = (lambda x: lax.expand_dims(x, (axis + 1,))), (lambda x: lax.expand_dims(x, (axis,)))
    numbers = lax.broadcasted_iota(jnp.int32, operands[0].shape, axis)
    before = there(numbers) < here(numbers)  # whether the one of the second axis precedes that of the first
    for key in keys[::-1]:
        before = (there(key) < here(key)) | ((there(key) == here(key)) & before)
    rank = jnp.sum(before, axis + 1, dtype=jnp.int32)
    chosen = here(numbers) == there(rank)
    return [jnp.sum(jnp.where(chosen, there(x), 0), axis + 1, dtype=x.dtype) for x in operands]


def convolved_apart(eqn: Any, x: Any, w: Any) -> Any:
    """`conv_general_dilated`, transposed: of elements that lie apart already."""
    p = eqn.params
    if all(n == 1 for n in p["lhs_dilation"]):
        return None
    config = [(0, 0, 0)] * x.ndim
    for axis, (low, high), n in zip(p["dimension_numbers"].lhs_spec[2:], p["padding"], p["lhs_dilation"], strict=True):
        config[axis] = (low, high, n - 1)
    plain = {"lhs_dilation": (1,) * len(p["lhs_dilation"]), "padding": ((0, 0),) * len(p["padding"])}
    return eqn.primitive.bind(_padded(x, np.zeros((), x.dtype), config), w, **p | plain)


def shifted_left(_: Any, x: Any, by: Any) -> Any:
    """`shift_left`: a product with a power of two, in 32 bits, whose last ones are those of fewer."""
    powers = jnp.asarray([1 << i if i < 31 else -(1 << 31) for i in range(32)], jnp.int32)
    return (x.astype(jnp.int32) * powers[jnp.asarray(by, jnp.int32)]).astype(x.dtype)


def shifted_right(_: Any, x: Any, by: Any) -> Any:
    """`shift_right_arithmetic`: a quotient by a power of two, rounded down."""
    wide, powers = x.astype(jnp.int32), jnp.asarray([1 << i for i in range(31)], jnp.int32)
    power = jnp.broadcast_to(powers[jnp.minimum(jnp.asarray(by, jnp.int32), 30)], wide.shape)
    quotient, rest = lax.div(wide, power), lax.rem(wide, power)
    return (quotient - (rest < 0)).astype(x.dtype)


def product_of_bytes(eqn: Any, x: Any, y: Any) -> Any:
    """`dot_general` of 8-bit numbers: of floats, which are exact in sums of up to a thousand integers."""
    dims, to = eqn.params["dimension_numbers"], eqn.outvars[0].aval.dtype
    if x.dtype.itemsize != 1 or y.dtype.itemsize != 1:
        return None
    (left, right), _ = dims
    x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    whole = jnp.int32 if jnp.issubdtype(to, jnp.integer) else to
    step = max(1, 1024 // math.prod(x.shape[axis] for axis in left[1:]))
    total: Any = 0
    for a, b in zip(_blocks(x, left[0], step), _blocks(y, right[0], step), strict=True):
        total = total + product(a, b, dims).astype(whole)
    return total.astype(to)


def _blocks(x: Any, axis: int, step: int) -> list[Any]:
    n = x.shape[axis]
    return [lax.slice_in_dim(x, first, min(n, first + step), axis=axis) for first in range(0, n, step)]


def product_of_matrices(eqn: Any, x: Any, y: Any) -> Any:
    """`dot_general` of axes in any order: of rows and columns, which its own are put into."""
    (left, right), (batch, other_batch) = eqn.params["dimension_numbers"]
    of_rows = tuple(left) == (x.ndim - 1,) and tuple(right) == (0,) and y.ndim == 2
    leading = tuple(range(len(batch)))
    of_batches = tuple(batch) == tuple(other_batch) == leading and x.ndim == y.ndim == len(batch) + 2
    if of_rows or (of_batches and tuple(left) == (x.ndim - 1,) and tuple(right) == (y.ndim - 2,)):
        return None
    return product(x, y, eqn.params["dimension_numbers"], eqn.outvars[0].aval.dtype)


def product_over_axes(eqn: Any, x: Any, y: Any) -> Any:
    """`dot_general` over several axes or none: over one."""
    dims = eqn.params["dimension_numbers"]
    return None if len(dims[0][0]) == 1 else product(x, y, dims, eqn.outvars[0].aval.dtype)


def product(x: Any, y: Any, dimension_numbers: Any, dtype: Any = None) -> Any:
    """A `dot_general` as one of (*batch, m, k) and (*batch, k, n)."""
    (left, right), (batch, other_batch) = dimension_numbers
    rows = [axis for axis in range(x.ndim) if axis not in (*left, *batch)]
    columns = [axis for axis in range(y.ndim) if axis not in (*right, *other_batch)]
    lead, n = [x.shape[axis] for axis in batch], len(batch)
    sizes = lambda a, axes: [a.shape[axis] for axis in axes]
    k = math.prod(sizes(x, left))
    a = lax.reshape(lax.transpose(x, (*batch, *rows, *left)), (*lead, math.prod(sizes(x, rows)), k))
    b = lax.reshape(lax.transpose(y, (*other_batch, *right, *columns)), (*lead, k, math.prod(sizes(y, columns))))
    dims = (((n + 1,), (n,)), (tuple(range(n)),) * 2)
    made = lax.dot_general(a, b, dims, precision="highest", preferred_element_type=dtype)
    return lax.reshape(made, (*lead, *sizes(x, rows), *sizes(y, columns)))


def unsigned_quotient(_: Any, x: Any, y: Any) -> Any:
    """`div` of unsigned integers: by signed ones, of half of x, of which the last bit is made up for."""
    if not jnp.issubdtype(jnp.result_type(x), jnp.unsignedinteger):
        return None
    signed = lambda a: lax.convert_element_type(a, jnp.int32)
    by = signed(y)
    quotient = 2 * lax.div(signed(lax.shift_right_logical(x, jnp.full_like(x, 1))), jnp.broadcast_to(by, jnp.shape(x)))
    rest = signed(x) - quotient * by
    return (quotient + (rest >= by)).astype(x.dtype)


def quotient(_: Any, x: Any, y: Any) -> Any:
    """`div` of signed integers, which is towards zero: of the negative, lest the half of a sum be taken for a mean."""
    return -lax.div(-x, y) if jnp.issubdtype(jnp.result_type(x), jnp.signedinteger) else None


def remainder(eqn: Any, x: Any, y: Any) -> Any:
    """`rem` of signed integers: what their quotient leaves."""
    found = quotient(eqn, x, y)
    return None if found is None else x - found * y


def by_signed(eqn: Any, *given: Any) -> Any:
    """`add`, `sub` and `mul` of unsigned integers, whose bits are those of signed ones."""
    to = eqn.outvars[0].aval.dtype
    if not jnp.issubdtype(to, jnp.unsignedinteger):
        return None
    made = eqn.primitive.bind(*(lax.convert_element_type(x, jnp.int32) for x in given), **eqn.params)
    return lax.convert_element_type(made, to)


def solved_by_substitution(eqn: Any, a: Any, b: Any) -> Any:
    """`triangular_solve`: one unknown after another, each of those before it."""
    p = eqn.params
    swapped = lambda x: jnp.swapaxes(x, -1, -2)
    of_rows = p["left_side"] != p["transpose_a"]  # whether a stands as it is in a x = b, or in its transpose
    a, lower = (a, p["lower"]) if of_rows else (swapped(a), not p["lower"])
    b = b if p["left_side"] else swapped(b)
    a, b = (a, b) if lower else (jnp.flip(a, (-2, -1)), jnp.flip(b, -2))
    diagonal = jnp.diagonal(a, axis1=-2, axis2=-1)
    divisors = jnp.ones_like(diagonal) if p["unit_diagonal"] else diagonal

    def step(x: Any, row: Sequence[Any]) -> tuple[Any, None]:
        i, weights, divisor, wanted = row
        rest = wanted - jnp.matmul(weights[..., None, :], x, precision="highest")[..., 0, :]
        return lax.dynamic_update_slice_in_dim(x, (rest / divisor[..., None])[..., None, :], i, x.ndim - 2), None

    rows = [jnp.moveaxis(a, -2, 0), jnp.moveaxis(divisors, -1, 0), jnp.moveaxis(b, -2, 0)]
    x = lax.scan(step, jnp.zeros_like(b), (jnp.arange(a.shape[-1]), *rows))[0]
    x = x if lower else jnp.flip(x, -2)
    return x if p["left_side"] else swapped(x)
