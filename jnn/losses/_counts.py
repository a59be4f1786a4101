"""Negative log-likelihoods of counts: minus the log-probability of a whole example, the sum over its outputs.

    poisson_nll(log_mean, targets)                          of counts whose variance is their mean
    negative_binomial_nll(log_mean, log_count, targets)     of counts that vary more

Parameters are predicted as logarithms, so that any real number will do. Values are float32 at least; negative counts
are an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting
from jnn.precision import wide


def poisson_nll(log_mean: jax.Array, targets: jax.Array) -> jax.Array:
    """Poisson negative log-likelihood of counts.

    Args:
      log_mean: (..., outputs), floating point: logarithms of the rates.
      targets: the same shape: counts, >= 0.

    Returns:
      (...): the sum over outputs; infinite where `exp(log_mean)` is.

    Raises:
      TypeError: log_mean is not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or counts known to be negative.

    >>> round(float(poisson_nll(jnp.zeros((1, 2)), jnp.array([[0, 2]]))[0]), 4)
    2.6931
    """
    (log_mean,), y = _counts("poisson_nll", targets, log_mean=log_mean)
    return jnp.sum(jnp.exp(log_mean) - y * log_mean + jax.lax.lgamma(y + 1), axis=-1)


def negative_binomial_nll(log_mean: jax.Array, log_count: jax.Array, targets: jax.Array) -> jax.Array:
    """Negative binomial negative log-likelihood: of counts whose variance is mean + mean^2 / count.

    See "Negative Binomial Regression", Hilbe, 2007.

    Args:
      log_mean: (..., outputs), floating point: logarithms of the rates.
      log_count: the same shape: logarithms of r, the failures that are waited for; 1 / r is also called the
        dispersion. Many are Poisson's.
      targets: the same shape: counts, >= 0.

    Returns:
      (...): the sum over outputs.

    Raises:
      TypeError: log_mean or log_count are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or counts known to be negative.

    >>> round(float(negative_binomial_nll(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.array([[2]]))[0]), 4)
    2.0794
    """
    (m, r), y = _counts("negative_binomial_nll", targets, log_mean=log_mean, log_count=log_count)
    arrangements = log_rising(jnp.exp(r), y) - jax.lax.lgamma(y + 1)
    of_failures = jnp.exp(r) * jax.nn.log_sigmoid(r - m)
    return -jnp.sum(arrangements + of_failures + y * jax.nn.log_sigmoid(m - r), axis=-1)


def log_rising(x: jax.Array, n: jax.Array) -> jax.Array:
    """log(gamma(x + n) / gamma(x)), for x > 0 and n >= 0, without the difference of two large numbers.

    >>> [round(float(x), 4) for x in (log_rising(jnp.array(2.0), jnp.array(3.0)), jnp.log(2.0 * 3 * 4))]
    [3.1781, 3.1781]
    """
    large = x > 10  # where three terms of Stirling's series are exact to 1e-10
    z, small = jnp.where(large, x, 11.0), jnp.where(large, 1.0, x)
    series = lambda z: 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5)
    stirling = (z + n - 0.5) * jnp.log1p(n / z) + n * (jnp.log(z) - 1) + series(z + n) - series(z)
    return jnp.where(large, stirling, jax.lax.lgamma(small + n) - jax.lax.lgamma(small))


def _counts(name: str, targets: jax.Array, **parameters: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    for x in parameters.values():
        checks.floats(name, x)
    checks.same_shape(name, **parameters, targets=targets)
    wider = [wide(x) for x in parameters.values()]
    return wider, fitting(name, "targets", targets, lambda y: y >= 0, ">= 0", like=wider[0])
