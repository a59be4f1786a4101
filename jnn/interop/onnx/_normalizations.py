"""Normalizations by a layer's, a channel's or a group's own statistics, or by a file's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, library, like, of_channels, together


def layer_normalization(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array, Array]:
    y, mean, inverse = _standardized(x, tuple(range(axis % x.ndim, x.ndim)), epsilon)
    return _affine(y, scale, bias), mean, inverse


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
    scale, bias, mean, var = (of_channels(like(each, x), x) for each in (scale, bias, mean, var))
    return (x - mean) * jax.lax.rsqrt(jnp.asarray(var + epsilon)) * scale + bias


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
    y, _, _ = _standardized(x.reshape(x.shape[0], num_groups, -1), (-1,), epsilon)
    each = x.shape[1] // num_groups if version < 21 else 1
    scale, bias = (library(a).repeat(like(a, x), each) for a in (scale, bias))
    return y.reshape(x.shape) * of_channels(scale, x) + of_channels(bias, x)


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """x of mean 0 and variance 1 along axes, in its dtype; the mean, and what it was multiplied by, in float32."""
    wide = x.astype(jnp.promote_types(x.dtype, np.float32))
    mean, inverse = wide.mean(axes, keepdims=True), jax.lax.rsqrt(wide.var(axes, keepdims=True) + epsilon)
    return ((wide - mean) * inverse).astype(x.dtype), mean, inverse


def _affine(y: Array, scale: Array, bias: Array | None) -> Array:
    y, scale = together(y, scale)
    if bias is None:
        return y * scale
    y, bias = together(y * scale, bias)
    return y + bias


def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """By the sum of absolute values, or the root of that of squares; zeros stay zeros."""
    total = (abs(x) if p == 1 else x * x).sum(axis, keepdims=True)
    norm = jnp.where(total == 0, 1, total)
    return x / (norm if p == 1 else jnp.sqrt(norm))


def local_response_normalization(
    x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Array:
    low = (size - 1) // 2
    widths = [(0, 0), (low, size - 1 - low)] + [(0, 0)] * (x.ndim - 2)
    window = (1, size) + (1,) * (x.ndim - 2)
    total = jax.lax.reduce_window(x * x, np.zeros((), x.dtype), jax.lax.add, window, (1,) * x.ndim, widths)
    return x / (bias + alpha / size * total) ** beta


OPERATORS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": local_response_normalization,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
}
