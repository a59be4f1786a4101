"""Negative log-likelihoods of counts: minus the log-probability of a whole example, the sum over its outputs.

    poisson_nll(log_mean, targets)                          of counts whose variance is their mean
    negative_binomial_nll(log_mean, log_count, targets)     of counts that vary more

Parameters are predicted as logarithms, so that any real number will do. Values are float32 at least; negative counts
are an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting
from jnn.precision import wide

LARGE = math.log(10)  # from where three terms of Stirling's series are exact to 1e-10


def poisson_nll(log_mean: jax.Array, targets: jax.Array) -> jax.Array:
    """Poisson negative log-likelihood of counts.

    See "Generalized Linear Models", Nelder and Wedderburn, 1972.

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
      (...): the sum over outputs; infinite where `exp(log_mean)` and `exp(log_count)` both are.

    Raises:
      TypeError: log_mean or log_count are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or counts known to be negative.

    >>> round(float(negative_binomial_nll(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.array([[2]]))[0]), 4)
    2.0794
    """
    (m, r), y = _counts("negative_binomial_nll", targets, log_mean=log_mean, log_count=log_count)
    arrangements = log_rising(r, y) - jax.lax.lgamma(y + 1)
    return jnp.sum(_of_failures(m, r) + y * jnp.logaddexp(-m, -r) - arrangements, axis=-1)


def log_rising(log_x: jax.Array, n: jax.Array) -> jax.Array:
    """log(gamma(x + n) / gamma(x)) - n log(x), for n >= 0 and any log(x), without the difference of two large numbers.

    >>> [round(float(x), 4) for x in (log_rising(jnp.log(2.0), jnp.array(3.0)), jnp.log(2.0 * 3 * 4 / 2**3))]
    [1.0986, 1.0986]
    """
    large = log_x > LARGE
    w, log_small = jnp.exp(-jnp.where(large, log_x, LARGE)), jnp.where(large, 0.0, log_x)
    series = lambda w: w / 12 - w**3 / 360 + w**5 / 1260  # Stirling's, of 1 / x
    stirling = n * _log1p_ratio(n * w) + (n - 0.5) * jnp.log1p(n * w) + series(w / (1 + n * w)) - series(w)
    some = jnp.where(n > 0, n, 1)
    x = jnp.exp(log_small)
    plain = jax.lax.lgamma(x + some) - jax.lax.lgamma(x + 1) + (1 - some) * log_small
    return jnp.where(large, stirling, jnp.where(n > 0, plain, 0.0))


def _of_failures(m: jax.Array, r: jax.Array) -> jax.Array:
    """exp(r) log(1 + exp(m - r)): the mean exp(m), where r is large."""
    many = m < r
    m, r, gap = jnp.where(many, m, 0.0), jnp.where(many, 0.0, r), m - r
    below, above = (jnp.where(kind, gap, 0.0) for kind in (many, ~many))
    return jnp.where(many, jnp.exp(m) * (1 + _log1p_ratio(jnp.exp(below))), jnp.exp(r) * jax.nn.softplus(above))


def _log1p_ratio(x: jax.Array) -> jax.Array:
    """log(1 + x) / x - 1, of x >= 0."""
    tiny = x < 1e-3
    y = jnp.where(tiny, 1.0, x)
    return jnp.where(tiny, x * (-1 / 2 + x * (1 / 3 + x * (-1 / 4 + x / 5))), jnp.log1p(y) / y - 1)


def _counts(name: str, targets: jax.Array, **parameters: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    for x in parameters.values():
        checks.floats(name, x)
    checks.same_shape(name, **parameters, targets=targets)
    wider = [wide(x) for x in parameters.values()]
    return wider, fitting(name, "targets", targets, lambda y: y >= 0, ">= 0", like=wider[0])
