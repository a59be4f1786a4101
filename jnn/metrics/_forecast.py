"""Errors of forecasts: scaled and logarithmic ones, of quantiles and of intervals, as weighted means."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import Mean, mean
from jnn.precision import over_last_axes, wide, wide_dtype


def mean_absolute_scaled_error(
    predictions: jax.Array, targets: jax.Array, scale: jax.Array, weight: jax.Array | None = None
) -> Mean:
    """Mean absolute scaled error (MASE): of |target - prediction| over what a naive forecast of the past misses by.

    See "Another look at measures of forecast accuracy", Hyndman and Koehler, 2006.

    Args:
      predictions: (..., horizon), floating point.
      targets: the same shape.
      scale: (...), more than 0, of each series: `naive_error(history, period)`.
      weight: (..., horizon) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes do not fit, or are empty.

    >>> scale = naive_error(jnp.array([1.0, 3.0, 5.0]))
    >>> float(mean_absolute_scaled_error(jnp.array([6.0, 7.0]), jnp.array([7.0, 7.0]), scale).value())
    0.25
    """
    p, y = checks.pair("mean_absolute_scaled_error", predictions, targets, ndim=0)
    checks.rank("mean_absolute_scaled_error", y, 1)
    if scale.shape != y.shape[:-1]:
        raise ValueError(
            f"mean_absolute_scaled_error: expected a scale of each series {y.shape[:-1]}, found "
            f"{checks.describe(scale)}."
        )
    return mean(jnp.abs(y - p) / scale[..., None].astype(y.dtype), weight)


def naive_error(history: jax.Array, period: int = 1) -> jax.Array:
    """Naive forecast error: the mean |x[t] - x[t - period]| of each series, the scale of MASE.

    See "Another look at measures of forecast accuracy", Hyndman and Koehler, 2006.

    Args:
      history: (..., time), floating point, of more than `period` steps.
      period: after which a series is expected to repeat: 1 for the last value, 12 for months of years.

    Returns:
      (...), float32 at least.

    Raises:
      TypeError: history is not floating point.
      ValueError: period is outside 1..time - 1.

    >>> naive_error(jnp.array([[1.0, 3.0, 5.0]])).tolist()
    [2.0]
    """
    checks.floats("naive_error", history)
    if not 1 <= period < history.shape[-1]:
        raise ValueError(f"naive_error: expected a period in 1..{history.shape[-1] - 1}, found {period}.")
    x = wide(history)
    return jnp.mean(jnp.abs(x[..., period:] - x[..., :-period]), -1)


def mean_squared_log_error(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Mean squared logarithmic error (MSLE): of (log(1 + target) - log(1 + prediction))².

    Args:
      predictions: any shape, floating point, more than -1: NaN below.
      targets: the same shape.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(mean_squared_log_error(jnp.array([0.0, 2.0]), jnp.array([0.0, 2.0])).value())
    0.0
    """
    p, y = checks.pair("mean_squared_log_error", predictions, targets, ndim=0)
    return mean((jnp.log1p(y) - jnp.log1p(p)) ** 2, weight)


def quantile_error(
    predictions: jax.Array, targets: jax.Array, quantiles: jax.Array, weight: jax.Array | None = None
) -> Mean:
    """Quantile error (pinball loss), the mean over examples and quantiles.

    See "Regression Quantiles", Koenker and Bassett, 1978.

    Args:
      predictions: (..., quantiles), floating point.
      targets: (...).
      quantiles: (quantiles,), in [0, 1].
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes do not fit, or quantiles known to lie outside [0, 1].

    >>> float(quantile_error(jnp.array([[1.0], [3.0]]), jnp.array([2.0, 2.0]), jnp.array([0.9])).value())
    0.5
    """
    checks.floats("quantile_error", predictions)
    quantiles = jnp.asarray(quantiles)
    if quantiles.shape != predictions.shape[-1:] or targets.shape != predictions.shape[:-1]:
        raise ValueError(
            f"quantile_error: expected predictions (..., quantiles), targets (...) and quantiles (quantiles,), found "
            f"{checks.describe(predictions)}, {checks.describe(targets)} and {checks.describe(quantiles)}."
        )
    checks.in_unit_interval("quantile_error", "quantiles", quantiles)
    error = wide(targets)[..., None] - wide(predictions)
    q = over_last_axes(quantiles, error)
    return mean(jnp.maximum(q * error, (q - 1) * error), weight)


def interval_coverage(lower: jax.Array, upper: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Coverage of prediction intervals: how often the target lies in lower..upper, its ends included.

    See "Evaluating Interval Forecasts", Christoffersen, 1998.

    Args:
      lower, upper: any shape, floating point.
      targets: the same shape.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: lower is not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(interval_coverage(jnp.zeros(2), jnp.ones(2), jnp.array([0.5, 2.0])).value())
    0.5
    """
    checks.floats("interval_coverage", lower, ndim=0)
    checks.same_shape("interval_coverage", lower=lower, upper=upper, targets=targets)
    inside = ((lower <= targets) & (targets <= upper)).astype(wide_dtype(lower))
    return mean(jnp.where(jnp.isnan(lower) | jnp.isnan(upper) | jnp.isnan(targets), jnp.nan, inside), weight)
