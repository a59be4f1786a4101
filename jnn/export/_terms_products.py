"""Products, convolutions and triangular systems in terms of others: rules, as in `_terms_elements`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jnn.export._terms_layout import padding


def product_of_bytes(eqn: Any, x: Any, y: Any) -> Any:
    """`dot_general` of 8-bit numbers: of floats, which are exact in sums of so many integers as a block has."""
    if x.dtype.itemsize != 1 or y.dtype.itemsize != 1:
        return None
    to = eqn.outvars[0].aval.dtype
    whole = to if to.itemsize > 4 else jnp.int32 if jnp.issubdtype(to, jnp.integer) else jnp.float32
    step = 256 if jnp.uint8 in (x.dtype, y.dtype) else 1024  # whose sums are 2^24 at most

    def sums(a: Any, b: Any) -> Any:
        n = a.shape[-1]
        cuts = [(first, min(n, first + step)) for first in range(0, n, step)] or [(0, 0)]
        part = lambda i, j: _matmul(lax.slice_in_dim(a, i, j, axis=-1), lax.slice_in_dim(b, i, j, axis=-2))
        return reduce(operator.add, (part(*cut).astype(whole) for cut in cuts))

    floats = x.astype(jnp.float32), y.astype(jnp.float32)
    return product(*floats, eqn.params["dimension_numbers"], sums).astype(to)


def product_of_matrices(eqn: Any, x: Any, y: Any) -> Any:
    """`dot_general` of axes in any order: of rows and columns, which its own are put into."""
    (left, right), (batch, other_batch) = eqn.params["dimension_numbers"]
    of_rows = tuple(left) == (x.ndim - 1,) and tuple(right) == (0,) and y.ndim == 2
    leading = tuple(range(len(batch)))
    of_batches = tuple(batch) == tuple(other_batch) == leading and x.ndim == y.ndim == len(batch) + 2
    if of_rows or (of_batches and tuple(left) == (x.ndim - 1,) and tuple(right) == (y.ndim - 2,)):
        return None
    return product(x, y, eqn.params["dimension_numbers"], partial(_matmul, dtype=eqn.outvars[0].aval.dtype))


def product_over_axes(eqn: Any, x: Any, y: Any) -> Any:
    """`dot_general` over several axes or none: over one."""
    dims = eqn.params["dimension_numbers"]
    if len(dims[0][0]) == 1:
        return None
    return product(x, y, dims, partial(_matmul, dtype=eqn.outvars[0].aval.dtype))


def _matmul(a: Any, b: Any, dtype: Any = None) -> Any:
    """(*batch, m, k) times (*batch, k, n)."""
    n = a.ndim - 2
    dims = (((n + 1,), (n,)), (tuple(range(n)),) * 2)
    return lax.dot_general(a, b, dims, precision="highest", preferred_element_type=dtype)


def product(x: Any, y: Any, dimension_numbers: Any, by: Callable[[Any, Any], Any] = _matmul) -> Any:
    """A `dot_general` as one of (*batch, m, k) and (*batch, k, n)."""
    (left, right), (batch, other_batch) = dimension_numbers
    rows = [axis for axis in range(x.ndim) if axis not in (*left, *batch)]
    columns = [axis for axis in range(y.ndim) if axis not in (*right, *other_batch)]
    lead = [x.shape[axis] for axis in batch]
    sizes = lambda a, axes: [a.shape[axis] for axis in axes]
    k = math.prod(sizes(x, left))
    a = lax.reshape(lax.transpose(x, (*batch, *rows, *left)), (*lead, math.prod(sizes(x, rows)), k))
    b = lax.reshape(lax.transpose(y, (*other_batch, *right, *columns)), (*lead, k, math.prod(sizes(y, columns))))
    return lax.reshape(by(a, b), (*lead, *sizes(x, rows), *sizes(y, columns)))


def convolved_by_planes(eqn: Any, x: Any, w: Any) -> Any:
    """`conv_general_dilated` of three axes: of two, whose channels are those of all planes that a window has."""
    p, dims = eqn.params, eqn.params["dimension_numbers"]
    grouped = p["feature_group_count"] != 1 or p["batch_group_count"] != 1
    if len(dims.lhs_spec) != 5 or grouped or p["lhs_dilation"][0] != 1:
        return None
    x = lax.transpose(x, (dims.lhs_spec[0], *dims.lhs_spec[2:], dims.lhs_spec[1]))
    w = lax.transpose(w, (*dims.rhs_spec[2:], dims.rhs_spec[1], dims.rhs_spec[0]))
    x = padding(x, 0, [(0, 0, 0), (*p["padding"][0], 0), *[(0, 0, 0)] * 3])
    step, apart = p["window_strides"][0], p["rhs_dilation"][0]
    planes = (x.shape[1] - apart * (w.shape[0] - 1) - 1) // step + 1
    if isinstance(planes, int) and planes < 1:
        return None
    taps = [x[:, i * apart : i * apart + step * (planes - 1) + 1 : step] for i in range(w.shape[0])]
    flat = lax.concatenate(taps, 4).reshape(x.shape[0] * planes, *x.shape[2:4], -1)
    kernel = lax.transpose(w, (1, 2, 0, 3, 4)).reshape(*w.shape[1:3], -1, w.shape[4])
    how = {name: p[name][1:] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation")}
    how |= {name: p[name] for name in ("precision", "preferred_element_type")}
    y = lax.conv_general_dilated(flat, kernel, **how, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    order = np.argsort((dims.out_spec[0], *dims.out_spec[2:], dims.out_spec[1]))
    return lax.transpose(y.reshape(x.shape[0], planes, *y.shape[1:]), order.tolist())


def convolved_apart(eqn: Any, x: Any, w: Any) -> Any:
    """`conv_general_dilated`, transposed: of elements that lie apart already."""
    p = eqn.params
    if all(n == 1 for n in p["lhs_dilation"]):
        return None
    config = [(0, 0, 0)] * x.ndim
    for axis, (low, high), n in zip(p["dimension_numbers"].lhs_spec[2:], p["padding"], p["lhs_dilation"], strict=True):
        config[axis] = (low, high, n - 1)
    plain = {"lhs_dilation": (1,) * len(p["lhs_dilation"]), "padding": ((0, 0),) * len(p["padding"])}
    return eqn.primitive.bind(padding(x, np.zeros((), x.dtype), config), w, **p | plain)


def solved_by_substitution(eqn: Any, a: Any, b: Any) -> Any:
    """`triangular_solve`: one unknown after another, each of those before it."""
    p = eqn.params
    if 0 in a.shape:
        return b
    swapped = lambda x: jnp.swapaxes(x, -1, -2)
    of_rows = p["left_side"] != p["transpose_a"]  # whether a stands as it is in a x = b, or in its transpose
    a, lower = (a, p["lower"]) if of_rows else (swapped(a), not p["lower"])
    b = b if p["left_side"] else swapped(b)
    a, b = (a, b) if lower else (jnp.flip(a, (-2, -1)), jnp.flip(b, -2))
    diagonal = jnp.diagonal(a, axis1=-2, axis2=-1)
    divisors = jnp.ones_like(diagonal) if p["unit_diagonal"] else diagonal
    a = jnp.tril(a, -1)  # whatever the other half holds

    def step(x: Any, row: Sequence[Any]) -> tuple[Any, None]:
        i, weights, divisor, wanted = row
        rest = wanted - jnp.matmul(weights[..., None, :], x, precision="highest")[..., 0, :]
        return lax.dynamic_update_slice_in_dim(x, (rest / divisor[..., None])[..., None, :], i, x.ndim - 2), None

    rows = [jnp.moveaxis(a, -2, 0), jnp.moveaxis(divisors, -1, 0), jnp.moveaxis(b, -2, 0)]
    x = lax.scan(step, jnp.zeros_like(b), (jnp.arange(a.shape[-1]), *rows))[0]
    x = x if lower else jnp.flip(x, -2)
    return x if p["left_side"] else swapped(x)
