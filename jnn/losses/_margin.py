"""Margin losses: of scores of any scale, whose sign (or greatest) is the answer.

    hinge_loss, squared_hinge_loss, modified_huber_loss     yes/no answers, mean over the last axis
    perceptron_loss, sigmoid_loss                           the same
    multiclass_hinge_loss, multi_margin_loss                one of many classes: its worst rival, and all of them
    multi_label_margin_loss                                 several of many classes

Targets are 0 and 1, as everywhere in this room; m is the margin: the score, its sign turned where the target is 0.
The multi-label soft margin loss of torch is `binary_cross_entropy_with_logits`. Targets or labels out of range are
an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import one_of, yes_no


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


def multiclass_hinge_loss(scores: jax.Array, labels: jax.Array, *, margin: float = 1.0) -> jax.Array:
    """Multi-class hinge loss: how near, within a margin, the best wrong class comes to the right one.

    See "On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines", Crammer and Singer, 2001. A
    margin of 0 is the multi-class perceptron's loss.

    Args:
      scores: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      margin: by how much the right class shall win, >= 0.

    Returns:
      (...): `max(0, margin + max(scores of the others) - score of the label)`; 0 of a single class.

    Raises:
      TypeError: scores are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to be out of range, or a negative margin.

    >>> multiclass_hinge_loss(jnp.array([[1.0, 0.5, -2.0]]), jnp.array([0]))
    Array([0.5], dtype=float32)
    """
    scores, own = one_of("multiclass_hinge_loss", scores, labels)
    margin = checks.number("multiclass_hinge_loss", "margin", margin, lambda m: m >= 0, ">= 0", like=scores)
    right = jnp.sum(jnp.where(own, scores, 0.0), axis=-1, keepdims=True)
    lead = jnp.max(jnp.where(own, 0.0, margin + scores - right), axis=-1)
    return jnp.where(jnp.any(own, axis=-1), lead, jnp.nan)


def multi_margin_loss(scores: jax.Array, labels: jax.Array, *, margin: float = 1.0, p: int = 1) -> jax.Array:
    """Multi-class margin loss: how near, within a margin, every wrong class comes to the right one.

    See "Support Vector Machines for Multi-Class Pattern Recognition", Weston and Watkins, 1999. `multiclass_hinge_loss`
    takes the worst of them alone.

    Args:
      scores: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      margin: by how much the right class shall win, >= 0.
      p: the power of what a margin lacks: 1 or 2. Squares are infinite for scores beyond 1e19 in float32.

    Returns:
      (...): the sum over wrong classes of `max(0, margin + score - score of the label)**p`, over the number of classes.

    Raises:
      TypeError: scores are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to be out of range, a negative margin, or p is neither 1 nor 2.

    >>> multi_margin_loss(jnp.array([[1.0, 0.5, 0.25]]), jnp.array([0]))
    Array([0.25], dtype=float32)
    """
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ValueError(f"{name}: expected p of 1 or 2, found {p!r}.")
    scores, own = one_of(name, scores, labels)
    margin = checks.number(name, "margin", margin, lambda m: m >= 0, ">= 0", like=scores)
    right = jnp.sum(jnp.where(own, scores, 0.0), axis=-1, keepdims=True)
    lacks = jnp.where(own, 0.0, jax.nn.relu(margin + scores - right))
    return jnp.where(jnp.any(own, axis=-1), jnp.mean(lacks**p, axis=-1), jnp.nan)


def multi_label_margin_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Multi-label margin loss: how near, within a margin of 1, wrong classes come to right ones, over all such pairs.

    Args:
      scores: (..., classes), floating point.
      targets: the same shape, of any dtype: 1 for each right class, 0 for each wrong one (torch has lists of labels).

    Returns:
      (...): the sum over pairs of `max(0, 1 - (right score - wrong score))`, over the number of classes; 0 where all
      classes are right, or none. The work grows with the square of their number.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or are empty, or targets known to be neither 0 nor 1.

    >>> multi_label_margin_loss(jnp.array([[0.25, 0.5, 1.0, 2.0]]), jnp.array([[1, 0, 0, 1]]))
    Array([0.75], dtype=float32)
    """
    scores, signs = yes_no("multi_label_margin_loss", scores, targets)
    lacks = jax.nn.relu(1 + scores[..., None, :] - scores[..., :, None])
    pairs = (signs[..., :, None] > 0) & (signs[..., None, :] < 0)
    costs = jnp.sum(jnp.where(pairs, lacks, 0.0), axis=(-2, -1)) / scores.shape[-1]
    return jnp.where(jnp.any(jnp.isnan(signs), axis=-1), jnp.nan, costs)


def _margin(name: str, scores: jax.Array, targets: jax.Array) -> jax.Array:
    scores, signs = yes_no(name, scores, targets)
    return scores * signs
