"""Batch renormalization: batch normalization corrected towards the running statistics, for small batches.

It is for training alone: evaluation is `batch_norm(p, x, running)`, and running statistics are averaged as its are.

Laws: with `r_max=1, d_max=0` it is `batch_norm(p, x)`; without bounds it is `batch_norm(p, x, running)`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._batch_norm import Stats, batch_norm, batch_norm_spec
from jnn.layers._norm import scale_and_shift
from jnn.precision import over_last_axes, wide

batch_renorm_spec = batch_norm_spec
"""Declares the scale and offset of batch renormalization: as `batch_norm_spec`."""


def batch_renorm(
    p: dict[str, jax.Array],
    x: jax.Array,
    running: Stats,
    *,
    r_max: float | jax.Array = 3.0,
    d_max: float | jax.Array = 5.0,
    weight: jax.Array | None = None,
    epsilon: float = 1e-5,
) -> tuple[jax.Array, Stats]:
    """Batch renormalization: `((x - mean) / std * r + d) * scale + bias`, by x's own mean and std.

    See "Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized Models", Ioffe, 2017. There
    `r = std / running std`, within [1 / r_max, r_max], and `d = (mean - running mean) / running std`, within
    [-d_max, d_max]; neither has a gradient. At first r_max = 1 and d_max = 0, they grow to 3 and 5.

    Args:
      p: {"scale": (c,), "bias": (c,)}, each optional.
      x: (..., c), floating point, with at least one leading axis.
      running: {"mean": (c,), "var": (c,)}, as `batch_norm_stats_spec` declares.
      r_max, d_max: bounds of the correction; they may be traced, such as a schedule's.
      weight: how much each example counts, as in `batch_norm`.
      epsilon: added to both variances.

    Returns:
      (..., c) in x's dtype; and x's own statistics, as of `batch_norm`.

    Raises:
      As `batch_norm`.

    >>> running = {"mean": jnp.array([1.0]), "var": jnp.array([4.0])}
    >>> batch_renorm({}, jnp.array([[1.0], [3.0]]), running)[0].round(3).tolist()
    [[0.0], [1.0]]
    """
    checks.params("batch_renorm", p, may=("scale", "bias"))
    checks.params("batch_renorm", running, "mean", "var", what="running")
    checks.floats("batch_renorm", x, ndim=2)
    for leaf in (*p.values(), running["mean"], running["var"]):
        checks.trailing("batch_renorm", x, leaf.shape)
    h, stats = batch_norm({}, wide(x), weight=weight, epsilon=epsilon)
    mean, var, running_mean, running_var = jax.lax.stop_gradient(
        [stats["mean"], stats["var"], *(running[name].astype(h.dtype) for name in ("mean", "var"))]
    )
    inverse = jax.lax.rsqrt(running_var + epsilon)
    r = jnp.clip(jnp.sqrt(var + epsilon) * inverse, 1 / r_max, r_max)
    d = jnp.clip((mean - running_mean) * inverse, -d_max, d_max)
    h = h * over_last_axes(r, h) + over_last_axes(d, h)
    return scale_and_shift(p, h).astype(x.dtype), stats
