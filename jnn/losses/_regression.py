"""Regression losses, one number per example: the mean over the last axis of an error per output.

Laws: values are float32 at least, whatever the dtype of predictions and targets; they are finite for all of float16,
and infinite where float32 cannot hold the answer: of an error beyond 1e19 that is squared, or beyond 3e38. Gradients
come in the dtype of the predictions: `squared_error`'s, 2 error / outputs, leaves float16 for errors beyond 32,752.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import positive


def squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared error of each example (Gauss, 1809).

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.

    Returns:
      (...): `mean((predictions - targets) ** 2)` over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]]))
    Array([2.5], dtype=float32)
    """
    return jnp.mean(jnp.square(difference("squared_error", predictions, targets)), axis=-1)


def absolute_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean absolute error of each example (Laplace, 1774).

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.

    Returns:
      (...): `mean(abs(predictions - targets))` over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> absolute_error(jnp.array([[1.0, -2.0]]), jnp.array([[0.0, 0.0]]))
    Array([1.5], dtype=float32)
    """
    return jnp.mean(jnp.abs(difference("absolute_error", predictions, targets)), axis=-1)


def huber_loss(predictions: jax.Array, targets: jax.Array, *, delta: float = 1.0) -> jax.Array:
    """Huber loss: squared error near zero, absolute error beyond `delta`, mean over the last axis.

    See "Robust Estimation of a Location Parameter", Huber, 1964.

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.
      delta: where one becomes the other.

    Returns:
      (...): the mean over the last axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> huber_loss(jnp.array([[0.5, 3.0]]), jnp.array([[0.0, 0.0]]))
    Array([1.3125], dtype=float32)
    """
    return jnp.mean(huberized("huber_loss", difference("huber_loss", predictions, targets), delta), axis=-1)


def huberized(name: str, error: jax.Array, delta: jax.Array | float) -> jax.Array:
    """Half the square of an error up to delta, linear beyond."""
    size, delta = jnp.abs(error), positive(name, "delta", delta, error)
    near = jnp.minimum(size, delta)
    return near * (size - 0.5 * near)  # without delta as a factor: it may be infinite


def difference(name: str, predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Predictions minus targets, of one shape."""
    predictions, targets = checks.pair(name, predictions, targets)
    return predictions - targets
