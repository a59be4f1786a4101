"""Operators over whole axes: reductions, softmax, products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.interop.onnx._arrays import Array, as_list, integers, is_known, library, like, together

Reduction = Callable[..., Array]


def _reduce(of: Callable[[Array, Any, bool], Array]) -> Reduction:
    """A reduction over axes that are an attribute in older operator sets and an input in newer ones."""

    def operator(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        along = None if axes is None else as_list("a reduction", axes)
        nothing = () if noop_with_empty_axes else None
        return of(x, tuple(along) if along else nothing, bool(keepdims))

    return operator


def _by(name: str) -> Reduction:
    return _reduce(lambda x, axes, keep: getattr(x, name)(axes, keepdims=keep, **_of_none(name, x)).astype(x.dtype))


def _of_none(name: str, x: Array) -> dict[str, Any]:
    """What the greatest or the least of no elements is."""
    if name not in ("max", "min") or x.size or not jnp.issubdtype(x.dtype, jnp.floating):
        return {}
    return {"initial": -jnp.inf if name == "max" else jnp.inf}


def arg_max(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The first of several, or the last."""
    turned = library(x).flip(x, axis) if select_last_index else x
    first = library(x).argmax(turned, axis, keepdims=bool(keepdims))
    return x.shape[axis] - 1 - first if select_last_index else first


def arg_min(x: Array, **how: int) -> Array:
    return arg_max(_turned(x), **how)


def _turned(x: Array) -> Array:
    """In the opposite order; integers without overflow."""
    return ~x if jnp.issubdtype(x.dtype, jnp.integer) else -x


def top_k(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    (n,) = integers("TopK", "k", k)
    moved = jnp.moveaxis(x, axis, -1)
    _, where = jax.lax.top_k(moved if largest else _turned(moved), n)
    values = jnp.take_along_axis(moved, where, -1)
    return jnp.moveaxis(values, -1, axis), jnp.moveaxis(where, -1, axis)


def cumulative_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    (along,) = integers("CumSum", "the axis", axis)
    flip = library(x).flip
    x = flip(x, along) if reverse else x
    y = x.cumsum(along, dtype=x.dtype)
    if exclusive:  # each is the sum before it: a difference would lose digits
        before = [(int(axis == along % x.ndim), 0) for axis in range(x.ndim)]
        y = library(x).pad(y, before)[tuple(map(slice, x.shape))]
    return flip(y, along) if reverse else y


def _over_the_rest(of: Callable[..., Array]) -> Callable[..., Array]:
    """Before operator set 13, over this axis and all behind it."""

    def operator(x: Array, *, axis: int | None = None, version: int = 13) -> Array:
        if version >= 13:
            return of(x, -1 if axis is None else axis)
        along = 1 if axis is None else axis % x.ndim
        return of(x, tuple(range(along, x.ndim)))

    return operator


def hardmax(x: Array, axis: int | tuple[int, ...]) -> Array:
    """1 for the first of the greatest, over one axis, or over several that are the last ones."""
    if isinstance(axis, tuple):
        return hardmax(x.reshape(*x.shape[: axis[0]], -1), -1).reshape(x.shape)
    return jax.nn.one_hot(x.argmax(axis), x.shape[axis], axis=axis, dtype=x.dtype)


def matmul(a: Array, b: Array) -> Array:
    """Leading axes broadcast."""
    if min(a.ndim, b.ndim) > 1 and a.ndim != b.ndim:
        a, b = together(a, b)
    a, b = (like(a, b) if is_known(a) else a), (like(b, a) if is_known(b) else b)
    return library(a, b).matmul(a, b)


def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    y = matmul(a.T if transA else a, b.T if transB else b)
    y = y if alpha == 1 else alpha * y
    if c is None:
        return y
    y, c = together(y, c)
    return y + (c if beta == 1 else beta * c)


def einsum(*xs: Array, equation: str) -> Array:
    return jnp.einsum(equation, *xs)


OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"Reduce{name}": _by(name.lower()) for name in ("Sum", "Mean", "Max", "Min", "Prod")},
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "CumSum": cumulative_sum,
    "Einsum": einsum,
    "Gemm": gemm,
    "Hardmax": _over_the_rest(hardmax),
    "LogSoftmax": _over_the_rest(jax.nn.log_softmax),
    "MatMul": matmul,
    "ReduceL1": _reduce(lambda x, axes, keep: abs(x).sum(axes, keepdims=keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: (x * x).sum(axes, keepdims=keep) ** 0.5),
    "ReduceLogSum": _reduce(lambda x, axes, keep: jnp.log(x.sum(axes, keepdims=keep))),
    "ReduceLogSumExp": _reduce(lambda x, axes, keep: jax.nn.logsumexp(x, axes, keepdims=keep)),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: (x * x).sum(axes, keepdims=keep)),
    "Softmax": _over_the_rest(jax.nn.softmax),
    "TopK": top_k,
}
