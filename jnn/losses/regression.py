"""Regression losses, one number per example: the mean over the last axis of an error per output."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jnn import checks


def squared_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared error of each example (Gauss, 1809).

    Args:
      predictions: (..., outputs), floating point.
      targets: the same shape.

    Returns:
      (...): `mean((predictions - targets) ** 2)` over the last axis.

    Raises:
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.0]]))
    Array([2.5], dtype=float32)
    """
    _check("squared_error", predictions, targets)
    return jnp.mean(jnp.square(predictions - targets), axis=-1)


def absolute_error(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean absolute error of each example (Laplace, 1774). Arguments as `squared_error`.

    >>> absolute_error(jnp.array([[1.0, -2.0]]), jnp.array([[0.0, 0.0]]))
    Array([1.5], dtype=float32)
    """
    _check("absolute_error", predictions, targets)
    return jnp.mean(jnp.abs(predictions - targets), axis=-1)


def huber(predictions: jax.Array, targets: jax.Array, *, delta: float = 1.0) -> jax.Array:
    """Squared error near zero, absolute error beyond `delta`, mean over the last axis.

    See "Robust Estimation of a Location Parameter", Huber, 1964. Arguments as `squared_error`.

    >>> huber(jnp.array([[0.5, 3.0]]), jnp.array([[0.0, 0.0]]))
    Array([1.3125], dtype=float32)
    """
    _check("huber", predictions, targets)
    return jnp.mean(optax.losses.huber_loss(predictions, targets, delta=delta), axis=-1)


def _check(name: str, predictions: jax.Array, targets: jax.Array) -> None:
    checks.floats(name, predictions)
    checks.same_shape(name, predictions=predictions, targets=targets)
