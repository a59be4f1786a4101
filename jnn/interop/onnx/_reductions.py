"""Operators over whole axes: reductions, softmax, normalization, products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, integers, is_known, library, like, together

Reduction = Callable[..., Array]


def _reduce(of: Callable[[Any, Array, Any, bool], Array]) -> Reduction:
    """A reduction over axes that are an attribute in older operator sets and an input in newer ones."""

    def operator(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        along = axes if axes is None or isinstance(axes, list) else integers("a reduction", "the axes", axes)
        if not along and noop_with_empty_axes:
            return x
        return of(library(x), x, tuple(along) if along else None, bool(keepdims))

    return operator


def _by(name: str) -> Reduction:
    return _reduce(lambda np, x, axes, keep: getattr(np, name)(x, axis=axes, keepdims=keep).astype(x.dtype))


def arg_max(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """The first of several, or the last."""
    turned = library(x).flip(x, axis) if select_last_index else x
    first = library(x).argmax(turned, axis, keepdims=bool(keepdims))
    return x.shape[axis] - 1 - first if select_last_index else first


def arg_min(x: Array, **how: int) -> Array:
    return arg_max(-x, **how)


def top_k(x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Array, Array]:
    (n,) = integers("TopK", "k", k)
    moved = jnp.moveaxis(x, axis, -1)
    _, where = jax.lax.top_k(moved if largest else -moved, n)
    values = jnp.take_along_axis(moved, where, -1)
    return jnp.moveaxis(values, -1, axis), jnp.moveaxis(where, -1, axis)


def cumulative_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    (along,) = integers("CumSum", "the axis", axis)
    np = library(x)
    x = np.flip(x, along) if reverse else x
    y = np.cumsum(x, along, dtype=x.dtype) - (x if exclusive else 0)
    return np.flip(y, along) if reverse else y


def _over_the_rest(of: Callable[..., Array]) -> Callable[..., Array]:
    """Before operator set 13, over this axis and all behind it."""

    def operator(x: Array, *, axis: int | None = None, version: int = 13) -> Array:
        if version >= 13:
            return of(x, -1 if axis is None else axis)
        along = 1 if axis is None else axis % x.ndim
        return of(x, tuple(range(along, x.ndim)))

    return operator


def layer_normalization(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array, Array]:
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(jnp.promote_types(x.dtype, np.float32))
    mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    inverse = jax.lax.rsqrt(var + epsilon)
    y = _affine(((wide - mean) * inverse).astype(x.dtype), scale, bias)
    return y, mean, inverse


def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Array:
    """By the statistics in the file.

    Raises:
      ValueError: it is to use those of the batch.
    """
    if training_mode:
        raise ValueError("BatchNormalization: training_mode is not known: export the network for evaluation.")
    mean, var = (_channels(like(each, x), x) for each in (mean, var))
    return (x - mean) * jax.lax.rsqrt(jnp.asarray(var + epsilon)) * _channels(like(scale, x), x) + _channels(
        like(bias, x), x
    )


def instance_normalization(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    return group_normalization(x, scale, bias, num_groups=x.shape[1], epsilon=epsilon, version=21)


def group_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    version: int = 21,
) -> Array:
    """With scales of channels, and before operator set 21 of groups."""
    groups = x.reshape(x.shape[0], num_groups, -1)
    wide = groups.astype(jnp.promote_types(x.dtype, np.float32))
    mean, var = wide.mean(-1, keepdims=True), wide.var(-1, keepdims=True)
    y = ((wide - mean) * jax.lax.rsqrt(var + epsilon)).astype(x.dtype).reshape(x.shape)
    each = x.shape[1] // num_groups if version < 21 else 1
    scale, bias = (library(a).repeat(like(a, x), each) for a in (scale, bias))
    return y * _channels(scale, x) + _channels(bias, x)


def _channels(a: Array, x: Array) -> Array:
    """One number for each channel, which is the second axis."""
    return a.reshape((1, -1) + (1,) * (x.ndim - 2))


def _affine(y: Array, scale: Array, bias: Array | None) -> Array:
    y, scale = together(y, scale)
    if bias is None:
        return y * scale
    y, bias = together(y * scale, bias)
    return y + bias


def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    return x / jnp.linalg.norm(x, p, axis, keepdims=True)


def local_response_normalization(
    x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Array:
    low = (size - 1) // 2
    widths = [(0, 0), (low, size - 1 - low)] + [(0, 0)] * (x.ndim - 2)
    window = (1, size) + (1,) * (x.ndim - 2)
    total = jax.lax.reduce_window(x * x, np.zeros((), x.dtype), jax.lax.add, window, (1,) * x.ndim, widths)
    return x / (bias + alpha / size * total) ** beta


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
    "BatchNormalization": batch_normalization,
    "CumSum": cumulative_sum,
    "Einsum": einsum,
    "Gemm": gemm,
    "GroupNormalization": group_normalization,
    "Hardmax": _over_the_rest(lambda x, axis: jax.nn.one_hot(x.argmax(axis), x.shape[axis], axis=axis, dtype=x.dtype)),
    "InstanceNormalization": instance_normalization,
    "LRN": local_response_normalization,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": _over_the_rest(jax.nn.log_softmax),
    "LpNormalization": lp_normalization,
    "MatMul": matmul,
    "ReduceL1": _reduce(lambda np, x, axes, keep: np.abs(x).sum(axes, keepdims=keep)),
    "ReduceL2": _reduce(lambda np, x, axes, keep: np.sqrt((x * x).sum(axes, keepdims=keep))),
    "ReduceLogSum": _reduce(lambda np, x, axes, keep: np.log(x.sum(axes, keepdims=keep))),
    "ReduceLogSumExp": _reduce(lambda np, x, axes, keep: jax.nn.logsumexp(x, axes, keepdims=keep)),
    "ReduceSumSquare": _reduce(lambda np, x, axes, keep: (x * x).sum(axes, keepdims=keep)),
    "Softmax": _over_the_rest(jax.nn.softmax),
    "TopK": top_k,
}
