"""Negative log-likelihoods of densities that a model predicts: minus the log-density of a whole example.

    gaussian_nll, laplace_nll, student_t_nll (mean, log_scale, targets)     of real outputs
    gaussian_mixture_nll (logits, mean, log_scale, targets)                 a mixture density network's

Outputs are independent given the prediction: their terms are added up over the last axis, where regression losses take
a mean. Scales are predicted as logarithms, so that any real number will do; constants are kept, so that likelihoods of
different densities compare. Values are float32 at least; finite, with their gradients, wherever float32 holds the
answer and `exp(-log_scale)`: for scales from 1e-38 to 1e38.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.losses._counts import log_rising
from jnn.losses._inputs import beside, fitting
from jnn.precision import wide


def gaussian_nll(mean: jax.Array, log_scale: jax.Array, targets: jax.Array) -> jax.Array:
    """Gaussian negative log-likelihood: a regression that says how sure it is.

    See "Estimating the Mean and Variance of the Target Probability Distribution", Nix and Weigend, 1994.

    Args:
      mean: (..., outputs), floating point.
      log_scale: the same shape: logarithms of standard deviations.
      targets: the same shape.

    Returns:
      (...): the sum over outputs.

    Raises:
      TypeError: mean or log_scale are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> gaussian_nll(jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]))
    Array([2.337877], dtype=float32)
    """
    mean, log_scale, targets = same("gaussian_nll", mean, log_scale, targets)
    return jnp.sum(_gaussian(mean, log_scale, targets), axis=-1)


def laplace_nll(mean: jax.Array, log_scale: jax.Array, targets: jax.Array) -> jax.Array:
    """Laplace negative log-likelihood: absolute errors, weighed by a scale that is predicted.

    See "What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?", Kendall and Gal, 2017.

    Args:
      mean: (..., outputs), floating point: where the density is greatest.
      log_scale: the same shape: logarithms of mean absolute deviations.
      targets: the same shape.

    Returns:
      (...): the sum over outputs.

    Raises:
      TypeError: mean or log_scale are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> laplace_nll(jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]))
    Array([2.3862944], dtype=float32)
    """
    mean, log_scale, targets = same("laplace_nll", mean, log_scale, targets)
    return jnp.sum(jnp.abs(targets - mean) * jnp.exp(-log_scale) + log_scale + math.log(2), axis=-1)


def student_t_nll(
    mean: jax.Array, log_scale: jax.Array, targets: jax.Array, *, degrees: jax.Array | float
) -> jax.Array:
    """Student's t negative log-likelihood: heavy tails, so that outliers move little.

    See "The Probable Error of a Mean", Student, 1908; "Robust Statistical Modeling Using the t Distribution", Lange
    et al., 1989.

    Args:
      mean: (..., outputs), floating point.
      log_scale: the same shape.
      targets: the same shape.
      degrees: of freedom, > 0: a number, or an array of the same shape. 1 is Cauchy's density; many are Gaussian.

    Returns:
      (...): the sum over outputs.

    Raises:
      TypeError: mean or log_scale are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or degrees known not to be positive.

    >>> cauchy = student_t_nll(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.array([[1.0]]), degrees=1.0)
    >>> round(float(cauchy[0]), 4)
    1.8379
    """
    mean, log_scale, targets = same("student_t_nll", mean, log_scale, targets)
    known: Any = degrees if isinstance(degrees, jax.Array) else np.asarray(degrees, mean.dtype)
    if known.ndim:
        checks.same_shape("student_t_nll", mean=mean, degrees=known)
    nu = jnp.broadcast_to(fitting("student_t_nll", "degrees", known, lambda d: d > 0, "> 0", like=mean), mean.shape)
    z = jnp.abs(targets - mean) * jnp.exp(-log_scale) / jnp.sqrt(nu)
    near, far = jnp.minimum(z, 1), jnp.maximum(z, 1)  # log(1 + z^2) without a square that overflows
    log_tail = jnp.where(z < 1, jnp.log1p(near**2), 2 * jnp.log(far) + jnp.log1p(1 / far / far))
    constant = 0.5 * math.log(2 * math.pi) - log_rising(jnp.log(nu / 2), jnp.full_like(nu, 0.5))
    return jnp.sum(constant + log_scale + (nu + 1) / 2 * log_tail, axis=-1)


def gaussian_mixture_nll(logits: jax.Array, mean: jax.Array, log_scale: jax.Array, targets: jax.Array) -> jax.Array:
    """Gaussian mixture negative log-likelihood: the loss of a mixture density network.

    See "Mixture Density Networks", Bishop, 1994.

    Args:
      logits: (..., components), floating point: of the weights of the components.
      mean: (..., components, outputs).
      log_scale: the same shape: logarithms of standard deviations, along each output.
      targets: (..., outputs).

    Returns:
      (...): minus the log-density of all outputs together.

    Raises:
      TypeError: logits, mean or log_scale are not floating point.
      ValueError: shapes do not fit, or are empty.

    >>> gaussian_mixture_nll(jnp.zeros((1, 2)), jnp.zeros((1, 2, 1)), jnp.zeros((1, 2, 1)), jnp.zeros((1, 1)))
    Array([0.9189385], dtype=float32)
    """
    checks.floats("gaussian_mixture_nll", logits)
    checks.array("gaussian_mixture_nll", targets, "targets")
    expected = (*logits.shape, *targets.shape[-1:])
    if targets.shape[:-1] != logits.shape[:-1] or jnp.shape(mean) != expected:
        raise ValueError(
            "gaussian_mixture_nll: expected logits [..., components], mean [..., components, outputs] and targets "
            f"[..., outputs], found {', '.join(map(checks.describe, (logits, mean, targets)))}."
        )
    spread = jnp.broadcast_to(targets[..., None, :], expected)
    mean, log_scale, spread = same("gaussian_mixture_nll", mean, log_scale, spread)
    of_each = jnp.sum(_gaussian(mean, log_scale, spread), axis=-1)
    return -jax.nn.logsumexp(jax.nn.log_softmax(wide(logits), axis=-1) - of_each, axis=-1)


def same(name: str, mean: jax.Array, log_scale: jax.Array, targets: jax.Array) -> tuple[jax.Array, ...]:
    """All three in float32 at least, of one shape."""
    for x in (mean, log_scale):
        checks.floats(name, x)
    checks.same_shape(name, mean=mean, log_scale=log_scale, targets=targets)
    return wide(mean), wide(log_scale), beside(mean, targets)


def _gaussian(mean: jax.Array, log_scale: jax.Array, targets: jax.Array) -> jax.Array:
    z = (targets - mean) * jnp.exp(-log_scale)
    return 0.5 * jnp.square(z) + log_scale + 0.5 * math.log(2 * math.pi)
