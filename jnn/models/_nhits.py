"""N-HiTS: N-BEATS in which each block reads the past coarsely or finely, and forecasts at as many knots as it reads.

    nhits(p, x, horizon) -> (..., horizon, outputs)

Laws: what pools and knots there are is read off the weights; between its knots a block's forecast is a straight line.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import linear, linear_spec, max_pool, resize, weight_shape
from jnn.models._mlp import mlp, mlp_spec
from jnn.models._nbeats import doubly_residual
from jnn.param import Params, Spec


def nhits_spec(
    context: int,
    horizon: int,
    *,
    pools: Sequence[int] = (8, 4, 1),
    steps: Sequence[int] = (12, 4, 1),
    layers: int = 2,
    width: int = 256,
    outputs: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an N-HiTS.

    Args:
      context: time steps that are read.
      horizon: time steps that are forecast.
      pools: of each block, over how many steps of the past it takes the maximum; divisors of the context.
      steps: of each block, from one of its knots to the next, of past and forecast.
      layers: of a block's perceptron, each with a ReLU behind it.
      width: of these.
      outputs: numbers a time step, as in `nbeats_spec`.
      dtype: of all.

    Returns:
      {"block1": {"fc": as `mlp_spec`, "back", "fore"}, ...}; the last one has no "back", which nobody would read.

    Raises:
      ValueError: a pool that does not divide the context, or not one step for each.

    >>> nhits_spec(168, 24)["block1"]["fore"]["w"].shape
    (256, 1, 2)
    """
    if not pools or len(pools) != len(steps) or any(pool < 1 or context % pool for pool in pools) or min(steps) < 1:
        raise ValueError(
            f"nhits_spec: expected a pool for each block, which divides {context}, and as many steps; found "
            f"{tuple(pools)} and {tuple(steps)}."
        )
    spec = {}
    for i, (pool, step) in enumerate(zip(pools, steps, strict=True), 1):
        back = {"back": linear_spec(width, max(context // step, 1), axes=("hidden", "time"), dtype=dtype)}
        knots = (outputs, max(horizon // step, 1))
        spec[f"block{i}"] = {
            "fc": mlp_spec((context // pool, *[width] * layers), dtype=dtype),
            **(back if i < len(pools) else {}),
            "fore": linear_spec(width, knots, axes=("hidden", "outputs", "time"), dtype=dtype),
        }
    return spec


def nhits(p: Params, x: jax.Array, horizon: int) -> jax.Array:
    """N-HiTS: a forecast as the sum of blocks', the first ones slow and smooth, the last ones fast.

    See "N-HiTS: Neural Hierarchical Interpolation for Time Series Forecasting", Challu et al., 2023.

    Args:
      p: as `nhits_spec` declares.
      x: (..., context), floating point.
      horizon: as in `nhits_spec`.

    Returns:
      (..., horizon, outputs), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not the context, or x is empty.

    >>> from jnn.param import abstract
    >>> p = abstract(nhits_spec(168, 24, outputs=9))
    >>> jax.eval_shape(lambda p, x: nhits(p, x, 24), p, jnp.ones((8, 168))).shape
    (8, 24, 9)
    """
    checks.params("nhits", p, "block1")
    checks.floats("nhits", x)
    return doubly_residual(partial(_block, horizon=horizon), p, x)


def _block(p: Params, x: jax.Array, horizon: int) -> tuple[jax.Array | None, jax.Array]:
    checks.params("nhits", p["fc"]["fc0"], "w", what="params['fc']['fc0']", adapted=True)
    pool, rest = divmod(x.shape[-1], windows := weight_shape(p["fc"]["fc0"]["w"])[0])
    if rest:
        raise ValueError(
            f"nhits: found {x.shape[-1]} steps, which are not {windows} windows of one size. Pass the context of "
            "nhits_spec."
        )
    seen = max_pool(x[..., None], (pool,))[..., 0] if pool > 1 else x
    h = jax.nn.relu(mlp(p["fc"], seen, key=None))
    back = _interpolated(linear(p["back"], h), x.shape[-1]) if "back" in p else None
    return back, _interpolated(linear(p["fore"], h), horizon)


def _interpolated(knots: jax.Array, steps: int) -> jax.Array:
    """Values (..., steps) on straight lines through knots (..., knots), each in the middle of its part of time."""
    return resize(knots[..., None], (steps,), method="bilinear")[..., 0]
