"""CRPS, the continuous ranked probability score: the absolute error, of a prediction that is a distribution.

    gaussian_crps(mean, log_scale, targets)     in closed form
    ensemble_crps(members, targets)             of samples

In the units of the targets, and less sensitive to outliers than a log-likelihood. Mean over the last axis, float32 at
least, finite wherever float32 holds the answer and `exp(-log_scale)`.
See "Strictly Proper Scoring Rules, Prediction, and Estimation", Gneiting and Raftery, 2007.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import beside
from jnn.losses._likelihood import same
from jnn.precision import wide


def gaussian_crps(mean: jax.Array, log_scale: jax.Array, targets: jax.Array) -> jax.Array:
    """CRPS of a Gaussian distribution.

    See "Calibrated Probabilistic Forecasting Using Ensemble Model Output Statistics and Minimum CRPS Estimation",
    Gneiting et al., 2005.

    Args:
      mean: (..., outputs), floating point.
      log_scale: the same shape: logarithms of standard deviations.
      targets: the same shape.

    Returns:
      (...): the mean over outputs.

    Raises:
      TypeError: mean or log_scale are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> gaussian_crps(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.zeros((1, 1))).round(5)
    Array([0.23369], dtype=float32)
    """
    mean, log_scale, targets = same("gaussian_crps", mean, log_scale, targets)
    error = targets - mean
    z = jnp.clip(error * jnp.exp(-log_scale), -100, 100)  # further out nothing changes, but squares overflow
    density = jnp.exp(-0.5 * jnp.square(z)) * math.sqrt(2 / math.pi)
    values = error * jax.lax.erf(z / math.sqrt(2)) + jnp.exp(log_scale) * (density - 1 / math.sqrt(math.pi))
    return jnp.mean(values, axis=-1)


def ensemble_crps(members: jax.Array, targets: jax.Array, *, fair: bool = False) -> jax.Array:
    """CRPS of an ensemble: the mean error of its members, minus half the mean difference between them.

    Args:
      members: (..., members, outputs), floating point.
      targets: (..., outputs).
      fair: whether members stand for a distribution that they are drawn from, so that differences are those of two
        distinct ones ("Fair scores for ensemble forecasts", Ferro, 2014); otherwise they are the distribution.

    Returns:
      (...): the mean over outputs.

    Raises:
      TypeError: members are not floating point.
      ValueError: shapes do not fit, or are empty, or a fair score of one member.

    >>> ensemble_crps(jnp.array([[[0.0], [2.0]]]), jnp.array([[1.0]]))
    Array([0.5], dtype=float32)
    """
    checks.floats("ensemble_crps", members, ndim=2)
    checks.array("ensemble_crps", targets, "targets")
    *leading, count, outputs = members.shape
    if targets.shape != (*leading, outputs):
        raise ValueError(
            f"ensemble_crps: expected targets {(*leading, outputs)} for members {checks.describe(members)} "
            f"[..., members, outputs], found {checks.describe(targets)}."
        )
    if fair and count == 1:
        raise ValueError("ensemble_crps: expected two members or more for a fair score, found one.")
    errors = jnp.sort(wide(members) - beside(members, targets)[..., None, :], axis=-2)
    # the sum of all differences, in one pass over sorted members: each is above those before it, below those after
    ranks = 2 * jnp.arange(count, dtype=errors.dtype) - (count - 1)
    differences = jnp.sum(ranks[:, None] * jnp.moveaxis(errors, -2, 0).reshape(count, -1), axis=0)
    differences = differences.reshape(targets.shape) / (count * (count - 1 if fair else count))
    return jnp.mean(jnp.mean(jnp.abs(errors), axis=-2) - differences, axis=-1)
