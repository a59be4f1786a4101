"""Probabilistic forecasts: heads of networks that write distributions, and what forecasts are measured by.

HEADS["gaussian"].loss(outputs, y)           one number a window
HEADS["gaussian"].quantiles(outputs)         (..., levels)
measured(quantiles, series, "test")          MASE, sMAPE, CRPS and coverage over rolling origins
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from experiments.series import Series
from jnn import losses, metrics

LEVELS = np.round(np.arange(0.05, 0.951, 0.05), 2)  # the first and the last are the ends of an interval of 90 %
MEDIAN = len(LEVELS) // 2
DEGREES = 4.0  # of freedom, of Student's t
FLOOR = 0.1  # of a window's deviation, in deviations of all that trains: a strike is no unit


class Head(NamedTuple):
    """How outputs (..., t, outputs) of a network are a distribution of y (..., t).

    Attributes:
      outputs: numbers a step.
      loss: (outputs, y) -> (...), the mean over steps.
      quantiles: outputs -> (..., t, levels).
      draw: (outputs, key) -> (..., t); None for quantiles, between which nothing is said.
    """

    outputs: int
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    quantiles: Callable[[jax.Array], jax.Array]
    draw: Callable[[jax.Array, jax.Array], jax.Array] | None


def _quantile_loss(outputs: jax.Array, y: jax.Array) -> jax.Array:
    each = jnp.broadcast_to(y[..., None], outputs.shape)
    return losses.quantile_loss(outputs, each, quantile=jnp.asarray(LEVELS, outputs.dtype)).mean(-1)


def _location_scale(nll: Callable[..., jax.Array], density: Any, noise: Callable[..., jax.Array]) -> Head:
    """A density of this shape, whose place and logarithm of scale are predicted."""
    places = density.ppf(LEVELS)
    spread = lambda outputs: (outputs[..., 0], jnp.exp(outputs[..., 1]))

    def quantiles(outputs: jax.Array) -> jax.Array:
        mean, scale = spread(outputs)
        return mean[..., None] + jnp.multiply.outer(scale, jnp.asarray(places, outputs.dtype))

    def draw(outputs: jax.Array, key: jax.Array) -> jax.Array:
        mean, scale = spread(outputs)
        return mean + scale * noise(key, shape=mean.shape, dtype=mean.dtype)

    loss = lambda outputs, y: nll(outputs[..., 0], outputs[..., 1], y) / y.shape[-1]
    return Head(2, loss, quantiles, draw)


HEADS = {
    "quantile": Head(len(LEVELS), _quantile_loss, partial(jnp.sort, axis=-1), None),
    "gaussian": _location_scale(losses.gaussian_nll, stats.norm, jax.random.normal),
    "student_t": _location_scale(
        partial(losses.student_t_nll, degrees=DEGREES), stats.t(DEGREES), partial(jax.random.t, df=DEGREES)
    ),
}


def scaled(y: jax.Array, context: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Windows y (..., t) by mean and deviation of their first `context` steps; and both, (..., 1).

    See "Reversible Instance Normalization for Accurate Time-Series Forecasting against Distribution Shift", Kim et al.,
    2022.
    """
    past = y[..., :context]
    mean, deviation = past.mean(-1, keepdims=True), jnp.maximum(past.std(-1, keepdims=True), FLOOR)
    return (y - mean) / deviation, mean, deviation


def measured(quantiles: np.ndarray, series: Series, part: str) -> dict[str, float]:
    """Scores of forecasts (origins, horizon, levels), in the series' unit, of a part's origins.

    MASE and sMAPE of the median; CRPS as twice the mean quantile loss over 19 levels; coverage of the 90 % interval.
    """
    found, y = jnp.asarray(quantiles, jnp.float32), jnp.asarray(series.targets(part), jnp.float32)
    training = series.history(int(series.origins("validation")[0]))
    scale = jnp.full(len(y), metrics.naive_error(jnp.asarray(training, jnp.float32), series.kind.season))
    scores = {
        "mase": metrics.mean_absolute_scaled_error(found[..., MEDIAN], y, scale),
        "smape": metrics.symmetric_mean_absolute_percentage_error(found[..., MEDIAN], y),
        "crps": metrics.quantile_error(found, y, jnp.asarray(LEVELS, jnp.float32)),
        "coverage": metrics.interval_coverage(found[..., 0], found[..., -1], y),
    }
    return {name: float(score) * (2 if name == "crps" else 1) for name, score in scores.items()}
