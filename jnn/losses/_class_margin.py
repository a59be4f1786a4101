"""Margin losses of classes: of scores of any scale, whose greatest is the answer.

    multiclass_hinge_loss, multi_margin_loss        one of many classes: its worst rival, and all of them
    multi_label_margin_loss                         several of many classes

Targets or labels out of range are an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import one_of, yes_no


def multiclass_hinge_loss(scores: jax.Array, labels: jax.Array, *, margin: jax.Array | float = 1.0) -> jax.Array:
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


def multi_margin_loss(
    scores: jax.Array, labels: jax.Array, *, margin: jax.Array | float = 1.0, power: int = 1
) -> jax.Array:
    """Multi-class margin loss: how near, within a margin, every wrong class comes to the right one.

    See "Support Vector Machines for Multi-Class Pattern Recognition", Weston and Watkins, 1999. `multiclass_hinge_loss`
    takes the worst of them alone.

    Args:
      scores: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      margin: by how much the right class shall win, >= 0.
      power: of what a margin lacks, 1 or 2 (torch's p). Squares are infinite for scores beyond 1e19 in float32.

    Returns:
      (...): the sum over wrong classes of `max(0, margin + score - score of the label)**power`, over the number of
      classes.

    Raises:
      TypeError: scores are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to be out of range, a negative margin, or a power that is
        neither 1 nor 2.

    >>> multi_margin_loss(jnp.array([[1.0, 0.5, 0.25]]), jnp.array([0]))
    Array([0.25], dtype=float32)
    """
    name = "multi_margin_loss"
    if power not in (1, 2):
        raise ValueError(f"{name}: expected a power of 1 or 2, found {power!r}.")
    scores, own = one_of(name, scores, labels)
    margin = checks.number(name, "margin", margin, lambda m: m >= 0, ">= 0", like=scores)
    right = jnp.sum(jnp.where(own, scores, 0.0), axis=-1, keepdims=True)
    lacks = jnp.where(own, 0.0, jax.nn.relu(margin + scores - right))
    return jnp.where(jnp.any(own, axis=-1), jnp.mean(lacks**power, axis=-1), jnp.nan)


def multi_label_margin_loss(scores: jax.Array, targets: jax.Array) -> jax.Array:
    """Multi-label margin loss: how near, within a margin of 1, wrong classes come to right ones, over all such pairs.

    See "A Kernel Method for Multi-Labelled Classification", Elisseeff and Weston, 2001.

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
