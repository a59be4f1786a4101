"""Deviances: regression losses of counts and of positive amounts, mean over the last axis.

    poisson_deviance, gamma_deviance        of variance mean, and mean^2
    tweedie_deviance(..., power=1.5)        of variance mean^power; 0 is the squared error, 1 Poisson's, 2 gamma's

A deviance is twice what the log-likelihood lacks to that of a perfect prediction: 0 where prediction and target agree.
Predictions are means, > 0, as of `exp` or `softplus`. What is out of range is an error where known, NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting


def poisson_deviance(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Poisson deviance: of counts, whose variance is their mean.

    See "Generalized Linear Models", Nelder and Wedderburn, 1972.

    Args:
      predictions: (..., outputs), floating point, > 0: the means.
      targets: the same shape, >= 0.

    Returns:
      (...): `2 (y log(y / mean) - y + mean)`, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, or are empty, or values known to be out of range.

    >>> poisson_deviance(jnp.array([[1.0, 3.0]]), jnp.array([[0, 3]]))
    Array([1.], dtype=float32)
    """
    mean, y = _amounts("poisson_deviance", predictions, targets, zero=True)
    return jnp.mean(2 * (_y_log_ratio(y, mean) - y + mean), axis=-1)


def gamma_deviance(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Gamma deviance: of positive amounts, whose standard deviation is in proportion to their mean.

    See "Generalized Linear Models", Nelder and Wedderburn, 1972.

    Args:
      predictions: (..., outputs), floating point, > 0: the means.
      targets: the same shape, > 0.

    Returns:
      (...): `2 (log(mean / y) + y / mean - 1)`, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, or are empty, or values known to be out of range.

    >>> gamma_deviance(jnp.array([[2.0, 3.0]]), jnp.array([[2.0, 3.0]]))
    Array([0.], dtype=float32)
    """
    mean, y = _amounts("gamma_deviance", predictions, targets, zero=False)
    return jnp.mean(2 * (jnp.log(mean) - jnp.log(y) + y / mean - 1), axis=-1)


def tweedie_deviance(predictions: jax.Array, targets: jax.Array, *, power: float) -> jax.Array:
    """Tweedie deviance: of amounts that are often zero, such as claims or rain, where the power is between 1 and 2.

    See "The Theory of Dispersion Models", Jorgensen, 1997.

    Args:
      predictions: (..., outputs), floating point, > 0: the means.
      targets: the same shape, >= 0; > 0 where the power is 2 or more.
      power: of the mean in the variance, >= 1; 1 is the Poisson deviance, 2 the gamma deviance.

    Returns:
      (...): the mean over the last axis.

    Raises:
      TypeError: predictions are not floating point, or the power is no number.
      ValueError: shapes differ, or are empty, or values known to be out of range.

    >>> tweedie_deviance(jnp.array([[1.0, 4.0]]), jnp.array([[0.0, 4.0]]), power=1.5)
    Array([2.], dtype=float32)
    """
    checks.number("tweedie_deviance", "power", power, lambda p: p >= 1, ">= 1", like=predictions)
    if power in (1, 2):
        return (poisson_deviance if power == 1 else gamma_deviance)(predictions, targets)
    mean, y = _amounts("tweedie_deviance", predictions, targets, zero=power < 2)
    zero = y == 0
    log_ratio = jnp.log(jnp.where(zero, 1.0, y)) - jnp.log(mean)
    # (y^k - mean^k) / k, which near k = 0 is a difference of equals
    gained = lambda k: mean**k * jnp.where(zero, -1.0, jnp.expm1(k * log_ratio)) / k
    return jnp.mean(2 * (jnp.where(zero, 0.0, y * gained(1 - power)) - gained(2 - power)), axis=-1)


def _amounts(name: str, means: jax.Array, targets: jax.Array, *, zero: bool) -> tuple[jax.Array, jax.Array]:
    checks.pair(name, means, targets)
    mean = fitting(name, "predictions", means, lambda m: m > 0, "> 0", like=means)
    if zero:
        return mean, fitting(name, "targets", targets, lambda y: y >= 0, ">= 0", like=mean)
    return mean, fitting(name, "targets", targets, lambda y: y > 0, "> 0", like=mean)


def _y_log_ratio(y: jax.Array, mean: jax.Array) -> jax.Array:
    """y log(y / mean), 0 where y is."""
    zero = y == 0
    return jnp.where(zero, 0.0, y * (jnp.log(jnp.where(zero, 1.0, y)) - jnp.log(mean)))
