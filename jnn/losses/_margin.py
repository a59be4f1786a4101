"""Margin losses: of scores of any scale, whose sign is the answer.

    hinge_loss, squared_hinge_loss, modified_huber_loss     yes/no answers, mean over the last axis
    perceptron_loss, sigmoid_loss                           the same

Targets are 0 and 1, as everywhere in this room; m is the margin: the score, its sign turned where the target is 0.
The multi-label soft margin loss of torch is `binary_cross_entropy_with_logits`. Targets out of range are an error where
known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.losses._inputs import yes_no


def hinge_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Hinge loss of a support vector machine: what a margin lacks to 1.

    See "Support-Vector Networks", Cortes and Vapnik, 1995.

    Args:
      scores: (..., outputs), floating point.
      targets: the same shape; 0 and 1, of any dtype.

    Returns:
      (...): `max(0, 1 - m)`, mean over the last axis.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or are empty, or targets known to be neither 0 nor 1.

    >>> hinge_loss(jnp.array([[0.5, -3.0]]), jnp.array([[1, 0]]))
    Array([0.25], dtype=float32)
    """
    return jnp.mean(jax.nn.relu(1 - _margin("hinge_loss", scores, targets)), axis=-1)


def squared_hinge_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared hinge loss: smooth where the hinge has a corner.

    See "Deep Learning using Linear Support Vector Machines", Tang, 2013.

    Args:
      scores, targets: as for `hinge_loss`.

    Returns:
      (...): `max(0, 1 - m)**2`, mean over the last axis; infinite for margins beyond 1e19 in float32.

    Raises:
      TypeError, ValueError: as `hinge_loss` does.

    >>> squared_hinge_loss(jnp.array([[0.5, -3.0]]), jnp.array([[1, 0]]))
    Array([0.125], dtype=float32)
    """
    return jnp.mean(jnp.square(jax.nn.relu(1 - _margin("squared_hinge_loss", scores, targets))), axis=-1)


def modified_huber_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Modified Huber loss: the squared hinge, linear where the margin is below -1, so that outliers cost less.

    See "Solving Large Scale Linear Prediction Problems Using Stochastic Gradient Descent Algorithms", Zhang, 2004.

    Args:
      scores, targets: as for `hinge_loss`.

    Returns:
      (...): `max(0, 1 - m)**2`, or `-4 m` where m < -1, mean over the last axis.

    Raises:
      TypeError, ValueError: as `hinge_loss` does.

    >>> modified_huber_loss(jnp.array([[0.5, 3.0]]), jnp.array([[1, 0]]))
    Array([6.125], dtype=float32)
    """
    lack = jax.nn.relu(1 - _margin("modified_huber_loss", scores, targets))
    near = jnp.minimum(lack, 2)  # lack = near + far; the square of the first, the second's slope of 4
    return jnp.mean(near**2 + 4 * (lack - near), axis=-1)


def perceptron_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Perceptron loss: how far a score lies on the wrong side.

    See "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain", Rosenblatt, 1958.

    Args:
      scores, targets: as for `hinge_loss`.

    Returns:
      (...): `max(0, -m)`, mean over the last axis.

    Raises:
      TypeError, ValueError: as `hinge_loss` does.

    >>> perceptron_loss(jnp.array([[0.5, 3.0]]), jnp.array([[1, 0]]))
    Array([1.5], dtype=float32)
    """
    return jnp.mean(jax.nn.relu(-_margin("perceptron_loss", scores, targets)), axis=-1)


def sigmoid_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Sigmoid loss: a smooth count of wrong answers, bounded by 1, so that wrong labels cost little.

    See "Boosting Algorithms as Gradient Descent", Mason et al., 1999.

    Args:
      scores, targets: as for `hinge_loss`.

    Returns:
      (...): `sigmoid(-m)`, mean over the last axis.

    Raises:
      TypeError, ValueError: as `hinge_loss` does.

    >>> sigmoid_loss(jnp.array([[0.0, 1000.0]]), jnp.array([[1, 0]]))
    Array([0.75], dtype=float32)
    """
    return jnp.mean(jax.nn.sigmoid(-_margin("sigmoid_loss", scores, targets)), axis=-1)


def _margin(name: str, scores: jax.Array, targets: jax.Array) -> jax.Array:
    scores, signs = yes_no(name, scores, targets)
    return scores * signs
