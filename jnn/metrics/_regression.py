"""Errors of regression, as sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import Mean, mean, ratio, spread, total
from jnn.precision import wide


def mean_absolute_error(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Mean absolute error: of |prediction - target| over examples and outputs.

    Args:
      predictions: any shape, floating point.
      targets: the same shape.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(mean_absolute_error(jnp.array([[1.0], [4.0]]), jnp.zeros((2, 1))).value())
    2.5
    """
    return mean(jnp.abs(_error("mean_absolute_error", predictions, targets)), weight)


def mean_squared_error(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Mean squared error: of (prediction - target)² over examples and outputs.

    Args:
      predictions: any shape, floating point.
      targets: the same shape.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(mean_squared_error(jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1))).value())
    5.0
    """
    return mean(_error("mean_squared_error", predictions, targets) ** 2, weight)


class RootMean(NamedTuple):
    """Root of a weighted mean.

    >>> float(RootMean(18.0, 2.0).value())
    3.0
    """

    total: Any
    weight: Any

    def value(self) -> Any:
        """sqrt(total / weight), NaN where the weight is 0."""
        return ratio(self.total, self.weight) ** 0.5


def root_mean_squared_error(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> RootMean:
    """Root mean squared error: the square root of the mean of (prediction - target)².

    Args:
      predictions: any shape, floating point.
      targets: the same shape.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(root_mean_squared_error(jnp.array([[3.0], [3.0]]), jnp.zeros((2, 1))).value())
    3.0
    """
    return RootMean(*mean(_error("root_mean_squared_error", predictions, targets) ** 2, weight))


class RSquared(NamedTuple):
    """R² as sums, per output: (..., outputs) each.

    Attributes:
      residual: of (target - prediction)².
      weight: of 1.
      first, second: of target - shift, and of its square.
    """

    residual: Any
    weight: Any
    first: Any
    second: Any

    def value(self) -> Any:
        """1 - residual / variance, the mean over outputs; NaN where targets do not vary."""
        variation = self.second - ratio(self.first**2, self.weight)
        return (1 - ratio(self.residual, variation)).mean(-1)


def r_squared(
    predictions: jax.Array,
    targets: jax.Array,
    weight: jax.Array | None = None,
    *,
    shift: jax.Array | float = 0.0,
) -> RSquared:
    """R², the coefficient of determination: the share of the targets' variance that is explained.

    See "Correlation and Causation", Wright, 1921.

    Args:
      predictions: (..., outputs), floating point, of rank >= 2.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      shift: a number near the targets' mean, or one per output (outputs,): the same for all batches that
        are merged. It cancels in the value but not in its rounding: with mean m and standard deviation s
        the relative error of the variance is about 1e-7 * (1 + ((m - shift) / s)²). So of targets that do not vary,
        and are not the shift, the value may be anything instead of NaN.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(r_squared(jnp.array([[1.0], [2.0], [3.5]]), jnp.array([[1.0], [2.0], [3.0]])).value())
    0.875
    """
    checks.rank("r_squared", predictions, 2)
    error = _error("r_squared", predictions, targets)
    weights = spread("r_squared", weight, targets)
    centred = wide(targets) - jnp.broadcast_to(jnp.asarray(shift, error.dtype), targets.shape)
    axes = tuple(range(targets.ndim - 1))
    return RSquared(
        residual=total(error**2, weights, axes),
        weight=jnp.sum(weights, axes),
        first=total(centred, weights, axes),
        second=total(centred**2, weights, axes),
    )


def _error(name: str, predictions: jax.Array, targets: jax.Array) -> jax.Array:
    p, y = checks.pair(name, predictions, targets, ndim=0)
    return p - y
