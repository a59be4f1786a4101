"""Relative errors, one number per example: of targets over orders of magnitude, the mean over the last axis.

    absolute_percentage_error       errors over their targets
    squared_log_error               differences of logarithms

Laws: as for `squared_error`: float32 at least, finite wherever float32 holds the answer, with finite gradients.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting


def absolute_percentage_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean absolute percentage error (MAPE) of each example, as a share: 0.1 is 10 percent.

    See "Mean Absolute Percentage Error for Regression Models", de Myttenaere et al., 2016.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape; one nearer to 0 than its dtype's step at 1 (1e-7 in float32) counts as that step, which
        makes its error and its gradient huge.

    Returns:
      (...): `abs(predictions - targets) / abs(targets)`, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> absolute_percentage_error(jnp.array([[1.0, 3.0]]), jnp.array([[2.0, 4.0]]))
    Array([0.375], dtype=float32)
    """
    x, y = checks.pair("absolute_percentage_error", predictions, targets)
    return jnp.mean(jnp.abs(x - y) / jnp.maximum(jnp.abs(y), jnp.finfo(y.dtype).eps), axis=-1)


def squared_log_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared logarithmic error: of log(1 + x), so that relative errors count.

    Args:
      predictions: (..., outputs), floating point, > -1.
      targets: the same shape, > -1.

    Returns:
      (...): `(log1p(predictions) - log1p(targets))**2`, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or values known to be -1 or less.

    >>> squared_log_error(jnp.array([[0.0]]), jnp.array([[jnp.e - 1]]))
    Array([1.], dtype=float32)
    """
    name = "squared_log_error"
    checks.pair(name, predictions, targets)
    x, y = (
        jnp.log1p(fitting(name, what, values, lambda v: v > -1, "above -1", like=predictions))
        for what, values in (("predictions", predictions), ("targets", targets))
    )
    return jnp.mean(jnp.square(x - y), axis=-1)
