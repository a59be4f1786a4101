"""More regression losses, one number per example: the mean over the last axis of a cost of each output's error.

    log_cosh, smooth_l1_loss, charbonnier_loss      squares near zero, absolute errors further out
    quantile_loss, epsilon_insensitive_loss         absolute errors, tilted, or with a dead zone
    cosine_distance                                 of directions

Laws: as for `squared_error`: float32 at least, finite wherever float32 holds the answer, with finite gradients.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.losses._inputs import fitting
from jnn.losses._regression import difference
from jnn.vectors import unit


def log_cosh(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Log-cosh loss: half the squared error near zero, the absolute error minus log 2 further out.

    See "Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder", Chen et al., 2019.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.

    Returns:
      (...): `log(cosh(predictions - targets))`, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> round(float(log_cosh(jnp.array([[1000.0]]), jnp.array([[0.0]]))[0]), 2)
    999.31
    """
    error = jnp.abs(difference("log_cosh", predictions, targets))
    # near zero log(2 cosh) - log(2) is a difference of equals: cosh(e) = 1 + 2 sinh(e / 2)^2 has none
    near = jnp.log1p(2 * jnp.square(jnp.sinh(jnp.minimum(error, 1) / 2)))
    far = error + jnp.log1p(jnp.exp(-2 * error)) - math.log(2)
    return jnp.mean(jnp.where(error < 1, near, far), axis=-1)


def smooth_l1_loss(predictions: jax.Array, targets: jax.Array, *, beta: jax.Array | float = 1.0) -> jax.Array:
    """Smooth L1 loss: the Huber loss divided by where it turns linear, so that its slope there is 1.

    See "Fast R-CNN", Girshick, 2015.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.
      beta: where it turns linear, > 0.

    Returns:
      (...): `error**2 / (2 beta)` below beta and `error - beta / 2` above, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> smooth_l1_loss(jnp.array([[0.5, 3.0]]), jnp.array([[0.0, 0.0]]), beta=2.0)
    Array([1.03125], dtype=float32)
    """
    error = jnp.abs(difference("smooth_l1_loss", predictions, targets))
    beta = checks.number("smooth_l1_loss", "beta", beta, lambda b: b > 0, "> 0", like=error)
    near = jnp.minimum(error, beta)
    return jnp.mean(0.5 * near * (near / beta) + (error - near), axis=-1)


def charbonnier_loss(predictions: jax.Array, targets: jax.Array, *, epsilon: jax.Array | float = 1e-3) -> jax.Array:
    """Charbonnier loss: the absolute error, its corner rounded off within epsilon.

    See "Two deterministic half-quadratic regularization algorithms for computed imaging", Charbonnier et al., 1994.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.
      epsilon: how wide the corner is, > 0.

    Returns:
      (...): `sqrt(error**2 + epsilon**2)`, mean over the last axis: epsilon where there is no error.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> charbonnier_loss(jnp.array([[3.0]]), jnp.array([[0.0]]), epsilon=4.0)
    Array([5.], dtype=float32)
    """
    error = jnp.abs(difference("charbonnier_loss", predictions, targets))
    epsilon = checks.number("charbonnier_loss", "epsilon", epsilon, lambda e: e > 0, "> 0", like=error)
    most = jax.lax.stop_gradient(jnp.maximum(error, epsilon))  # whose square may overflow
    return jnp.mean(most * jnp.sqrt(jnp.square(error / most) + jnp.square(epsilon / most)), axis=-1)


def quantile_loss(predictions: jax.Array, targets: jax.Array, *, quantile: jax.Array | float) -> jax.Array:
    """Quantile loss (pinball loss): least where that share of the targets lies below the prediction.

    See "Regression Quantiles", Koenker and Bassett, 1978.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.
      quantile: in [0, 1]: one for all outputs, or (outputs,).

    Returns:
      (...): `quantile * e` where e = targets - predictions is positive, `(quantile - 1) * e` where it is negative;
      mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes do not fit, or are empty, or quantiles known to lie outside [0, 1].

    >>> quantile_loss(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, -1.0]]), quantile=0.9)
    Array([0.5], dtype=float32)
    """
    error = -difference("quantile_loss", predictions, targets)
    share: Any = quantile if isinstance(quantile, jax.Array) else np.asarray(quantile, error.dtype)
    if share.ndim and share.shape != error.shape[-1:]:
        raise ValueError(
            f"quantile_loss: expected a number quantile or one for each of {error.shape[-1]} outputs, "
            f"found {checks.describe(share)}."
        )
    share = fitting("quantile_loss", "quantile", share, lambda q: (q >= 0) & (q <= 1), "in [0, 1]", like=error)
    share = jnp.broadcast_to(share.reshape((1,) * (error.ndim - share.ndim) + share.shape), error.shape)
    return jnp.mean(jnp.where(error > 0, share, share - 1) * error, axis=-1)


def epsilon_insensitive_loss(
    predictions: jax.Array, targets: jax.Array, *, epsilon: jax.Array | float = 0.1
) -> jax.Array:
    """Epsilon-insensitive loss of support vector regression: absolute error beyond epsilon, none within.

    See "Support Vector Regression Machines", Drucker et al., 1996.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.
      epsilon: the error that costs nothing, >= 0.

    Returns:
      (...): `max(0, abs(predictions - targets) - epsilon)`, mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> epsilon_insensitive_loss(jnp.array([[0.5, 3.0]]), jnp.array([[0.0, 0.0]]), epsilon=1.0)
    Array([1.], dtype=float32)
    """
    error = jnp.abs(difference("epsilon_insensitive_loss", predictions, targets))
    epsilon = checks.number("epsilon_insensitive_loss", "epsilon", epsilon, lambda e: e >= 0, ">= 0", like=error)
    return jnp.mean(jax.nn.relu(error - epsilon), axis=-1)


def cosine_distance(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Cosine distance: 1 minus the cosine of the angle between two vectors.

    See "A Vector Space Model for Automatic Indexing", Salton, Wong and Yang, 1975.

    Args:
      predictions: (..., features), floating point, of any length.
      targets: the same shape.

    Returns:
      (...): in [0, 2]; 1, with a gradient of 0, where one of them is zero. Gradients go with 1 / length: they leave
      float16 for vectors shorter than 1e-4.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> cosine_distance(jnp.array([[3.0, 0.0], [1.0, 1.0]]), jnp.array([[0.0, 2.0], [5.0, 5.0]])).round(6)
    Array([1., 0.], dtype=float32)
    """
    x, y = checks.pair("cosine_distance", predictions, targets)
    return 1 - jnp.sum(unit(x) * unit(y), axis=-1)
