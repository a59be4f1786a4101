"""Relative errors as weighted means: of each target, of both, and of all targets together."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import Mean, mean, ratio, spread, total


def mean_absolute_percentage_error(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Mean absolute percentage error (MAPE), as a share: of |target - prediction| / |target|.

    See "Another look at measures of forecast accuracy", Hyndman and Koehler, 2006.

    Args:
      predictions: any shape, floating point.
      targets: the same shape; a target of 0 counts as its dtype's step at 1, which makes its error huge.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(mean_absolute_percentage_error(jnp.array([1.0, 3.0]), jnp.array([2.0, 4.0])).value())
    0.375
    """
    p, y = checks.pair("mean_absolute_percentage_error", predictions, targets, ndim=0)
    return mean(jnp.abs(y - p) / jnp.maximum(jnp.abs(y), jnp.finfo(y.dtype).eps), weight)


def symmetric_mean_absolute_percentage_error(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None
) -> Mean:
    """Symmetric mean absolute percentage error (sMAPE), as a share from 0 to 2; 0 where both are 0.

    Of |target - prediction| over the mean of |target| and |prediction|: see "Accuracy measures: theoretical and
    practical concerns", Makridakis, 1993.

    Args:
      predictions: any shape, floating point.
      targets: the same shape.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(symmetric_mean_absolute_percentage_error(jnp.array([1.0, 0.0]), jnp.array([3.0, 0.0])).value())
    0.5
    """
    p, y = checks.pair("symmetric_mean_absolute_percentage_error", predictions, targets, ndim=0)
    return mean(ratio(2 * jnp.abs(y - p), jnp.abs(y) + jnp.abs(p), empty=0.0), weight)


def weighted_absolute_percentage_error(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None
) -> Mean:
    """Weighted absolute percentage error (WAPE, WMAPE), as a share: the sum of errors over the sum of targets.

    Of |target - prediction| over |target|, so that small targets count little. See "Errors on Percentage Errors",
    Kolassa and Schütz, 2007, which calls it the ratio of MAD and mean.

    Args:
      predictions: any shape, floating point.
      targets: the same shape; NaN where all of them are 0.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(weighted_absolute_percentage_error(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])).value())
    0.75
    """
    p, y = checks.pair("weighted_absolute_percentage_error", predictions, targets, ndim=0)
    weight = spread("weighted_absolute_percentage_error", weight, y)
    return Mean(total(jnp.abs(y - p), weight), total(jnp.abs(y), weight))
