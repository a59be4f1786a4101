"""N-BEATS: blocks that each explain a part of the past and forecast with it; the next one reads what is left.

    nbeats(p, x, horizon) -> (..., horizon, outputs)

A block's perceptron writes coefficients of a basis over time, by the name of its maps in p: "trend", polynomials;
"seasonality", sines and cosines, the slowest of which takes a horizon; "generic", the steps themselves.

Laws: the forecast is the sum of the blocks'; a trend's and a seasonality's are smooth, whatever the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import linear, linear_spec
from jnn.models._mlp import mlp, mlp_spec
from jnn.param import Params, Spec

Basis = Literal["generic", "trend", "seasonality"]
Block = Callable[
    [Any, jax.Array], tuple[jax.Array | None, jax.Array]
]  # (p, x) -> backcast, forecast (..., outputs, time)


def nbeats_spec(
    context: int,
    horizon: int,
    *,
    stacks: Sequence[Basis] = ("generic", "generic"),
    blocks: int = 3,
    layers: int = 4,
    width: int = 256,
    degree: int = 3,
    outputs: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an N-BEATS; ("trend", "seasonality") are the stacks of the interpretable one.

    Args:
      context: steps that are read.
      horizon: steps that are forecast.
      stacks: the basis of each.
      blocks: of a stack.
      layers: of a block's perceptron, each with a ReLU behind it.
      width: of these.
      degree: of a trend's polynomials.
      outputs: numbers a step: 1, or as many as there are quantiles or parameters of a distribution.
      dtype: of all.

    Returns:
      {"block1": {"fc": as `mlp_spec`, basis: {"back", "fore"}}, ...}; the last one has no "back", which nobody would
      read.

    Raises:
      ValueError: an unknown basis, or no block.

    >>> nbeats_spec(14, 7, stacks=("trend",), blocks=1)["block1"]["trend"]["fore"]["w"].shape
    (256, 1, 4)
    """
    bases = [basis for basis in stacks for _ in range(blocks)]
    if not bases or not set(bases) <= {"generic", *BASES}:
        raise ValueError(f"nbeats_spec: expected stacks of 'generic', 'trend' or 'seasonality', found {stacks}.")
    cycles = _cycles(horizon)
    terms = {"generic": (context, horizon), "trend": (degree + 1, degree + 1), "seasonality": (cycles, cycles)}
    spec = {}
    for i, basis in enumerate(bases, 1):
        back, fore = terms[basis]
        maps = {"back": linear_spec(width, back, axes=("hidden", "time"), dtype=dtype)} if i < len(bases) else {}
        maps["fore"] = linear_spec(width, (outputs, fore), axes=("hidden", "outputs", "time"), dtype=dtype)
        spec[f"block{i}"] = {"fc": mlp_spec((context, *[width] * layers), dtype=dtype), basis: maps}
    return spec


def nbeats(p: Params, x: jax.Array, horizon: int) -> jax.Array:
    """N-BEATS: a forecast as the sum of blocks' forecasts, each of what those before it did not explain.

    See "N-BEATS: Neural basis expansion analysis for interpretable time series forecasting", Oreshkin et al., 2020.

    Args:
      p: as `nbeats_spec` declares.
      x: (..., context), floating point.
      horizon: as in `nbeats_spec`.

    Returns:
      (..., horizon, outputs), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not the context, x is empty, or a generic or seasonal block was declared for another
        horizon; a trend fits any.

    >>> from jnn.param import abstract
    >>> p = abstract(nbeats_spec(168, 24, outputs=9))
    >>> jax.eval_shape(lambda p, x: nbeats(p, x, 24), p, jnp.ones((8, 168))).shape
    (8, 24, 9)
    """
    checks.params("nbeats", p, "block1")
    checks.floats("nbeats", x)
    return doubly_residual(partial(_block, horizon=horizon), p, x)


def doubly_residual(block: Block, p: Params, x: jax.Array) -> jax.Array:
    """Doubly residual stacking: blocks take from x what they explain; forecasts add up to (..., time, outputs)."""
    forecasts = []
    for i in range(1, len(p) + 1):
        back, fore = block(gather(p[f"block{i}"], f"block{i}"), x)
        x = x if back is None else x - back
        forecasts.append(fore)
    return jnp.moveaxis(sum(forecasts[1:], forecasts[0]), -2, -1)


def _block(p: Params, x: jax.Array, horizon: int) -> tuple[jax.Array | None, jax.Array]:
    h = jax.nn.relu(mlp(p["fc"], x, key=None))
    ((basis, maps),) = ((name, part) for name, part in p.items() if name != "fc")
    back = _expand(basis, linear(maps["back"], h), x.shape[-1], horizon) if "back" in maps else None
    return back, _expand(basis, linear(maps["fore"], h), horizon, horizon)


def _expand(basis: str, theta: jax.Array, steps: int, horizon: int) -> jax.Array:
    """Coefficients (..., terms) -> values (..., steps)."""
    wanted = {"generic": steps, "seasonality": _cycles(horizon)}.get(basis, theta.shape[-1])
    if theta.shape[-1] != wanted:
        raise ValueError(
            f"nbeats: expected the horizon of nbeats_spec, found {horizon}, which takes {wanted} terms where the "
            f"parameters of {basis} have {theta.shape[-1]}."
        )
    if basis == "generic":
        return theta
    return theta @ jnp.asarray(BASES[basis](theta.shape[-1], steps, horizon), theta.dtype)


def _cycles(horizon: int) -> int:
    """Cosines and sines of a seasonality, the slowest of which takes a horizon."""
    return 2 * max(horizon // 2, 1) - 1


def _trend(terms: int, steps: int, horizon: int) -> np.ndarray:
    """Powers (terms, steps) of time from 0 to 1."""
    return (np.arange(steps) / steps) ** np.arange(terms)[:, None]


def _seasonality(terms: int, steps: int, horizon: int) -> np.ndarray:
    """Cosines and sines (terms, steps) that take a whole part of the horizon."""
    angles = 2 * np.pi * np.arange((terms + 1) // 2)[:, None] * np.arange(steps) / horizon
    return np.concatenate([np.cos(angles), np.sin(angles[1:])])


BASES = {"trend": _trend, "seasonality": _seasonality}
