"""Batch normalization. Statistics are an argument and a result; there is no mode.

Laws: `stats=None` uses the batch's own and returns them, given stats are used and returned unchanged; rows of weight 0
change nothing, whatever they hold; on many devices the statistics are those of the whole batch.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import ones, zeros
from jnn.layers._channel_norm import standardize_channels
from jnn.layers._group_norm import group_norm_spec
from jnn.layers._norm import scale_and_shift
from jnn.param import Param, Spec
from jnn.precision import over_last_axes, wide, wide_dtype

Stats = dict[str, jax.Array]


batch_norm_spec = group_norm_spec
"""Declares the scale and offset of batch normalization: as `group_norm_spec`."""


def batch_norm_stats_spec(size: int, *, axis: str = "channels") -> Spec:
    """Declares batch normalization's running statistics: {"mean": (size,), "var": (size,)}, float32, 0 and 1 at first.

    Args:
      size: how many channels there are.
      axis: the name of that axis.

    >>> batch_norm_stats_spec(8)["var"].shape
    (8,)
    """
    return {"mean": Param((size,), zeros, (axis,)), "var": Param((size,), ones, (axis,))}


def batch_norm(
    p: dict[str, jax.Array],
    x: jax.Array,
    stats: Stats | None = None,
    *,
    weight: jax.Array | None = None,
    epsilon: float = 1e-5,
) -> tuple[jax.Array, Stats]:
    """Batch normalization: `(x - mean) / sqrt(var + epsilon) * scale + bias`, per channel over all other axes.

    See "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
    Ioffe and Szegedy, 2015.

    Args:
      p: {"scale": (c,), "bias": (c,)}, each optional.
      x: (..., c), floating point, with at least one leading axis.
      stats: {"mean": (c,), "var": (c,)} to normalize by, or None for x's own.
      weight: how much each example counts in x's own statistics: its axes are the first of x's. Rows of
        weight 0 (padding) are treated as zeros throughout, so that they may hold anything.
      epsilon: added to the variance.

    Returns:
      (..., c) in x's dtype; and the statistics used, in float32, the variance biased (divided by the count). x's own
      come with their "count": (), the sum of the weights that they were taken over, or how many rows.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p or stats, x is empty or has one axis only, or weight's
        axes are not the first of x's.

    >>> y, stats = batch_norm({}, jnp.array([[1.0], [3.0]]))
    >>> y.round(3).tolist(), stats["mean"].item(), stats["var"].item()
    ([[-1.0], [1.0]], 2.0, 1.0)
    """
    checks.params("batch_norm", p, may=("scale", "bias"))
    if stats is not None:
        checks.params("batch_norm", stats, "mean", "var", what="stats")
    checks.floats("batch_norm", x, ndim=2)
    for name, leaf in {**p, **{name: stats[name] for name in ("mean", "var") if stats is not None}}.items():
        if leaf.shape != x.shape[-1:]:
            raise ValueError(f"batch_norm: {name} is {checks.describe(leaf)}, x {checks.describe(x)}: channels differ.")
    h = wide(x)
    if weight is not None:
        weight = _over_leading_axes(weight, x)
        h = jnp.where(weight == 0, 0.0, h)
    if stats is None:
        if weight is None:
            return _by_own_statistics(p, h, epsilon, x.dtype)
        stats = _weighted_statistics(h, weight)
    mean, var = (over_last_axes(stats[name], h) for name in ("mean", "var"))
    h = (h - mean) * jax.lax.rsqrt(var + epsilon)
    return scale_and_shift(p, h).astype(x.dtype), stats


def _by_own_statistics(
    p: dict[str, jax.Array], h: jax.Array, epsilon: float, dtype: DTypeLike
) -> tuple[jax.Array, Stats]:
    flat, (mean, var) = standardize_channels(p, h.reshape(-1, h.shape[-1]), h.shape[-1], epsilon)
    count = jnp.asarray(math.prod(h.shape[:-1]), h.dtype)
    return flat.reshape(h.shape).astype(dtype), {"mean": mean, "var": var, "count": count}


def _weighted_statistics(h: jax.Array, weight: jax.Array) -> Stats:
    """Weighted mean and biased variance of each channel, and their count; 0 and 0 where all weights are 0."""
    axes = tuple(range(h.ndim - 1))
    total = jnp.sum(jnp.broadcast_to(weight, (*h.shape[:-1], 1)))
    share = weight / jnp.where(total == 0, 1.0, total)
    mean = jnp.sum(h * share, axes)
    var = jnp.sum(jnp.square(h - over_last_axes(mean, h)) * share, axes)
    return {"mean": mean, "var": var, "count": total}


def _over_leading_axes(weight: jax.Array, x: jax.Array) -> jax.Array:
    checks.array("batch_norm", weight, "weight")
    if weight.ndim == 0 or weight.ndim >= x.ndim or weight.shape != x.shape[: weight.ndim]:
        raise ValueError(
            f"batch_norm: the axes of weight {checks.describe(weight)} must be the first of x {checks.describe(x)}; "
            "give one weight per example."
        )
    return weight.astype(wide_dtype(x)).reshape(weight.shape + (1,) * (x.ndim - weight.ndim))
