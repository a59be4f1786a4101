"""Several yes-or-no answers for each example: how many are wrong, and how often all are right.

Precision, recall and F1 of each answer, pooled and averaged, are those of `binary_counts`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import Mean, spread, total, yes_or_no


def hamming_loss(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, threshold: float = 0.5
) -> Mean:
    """Hamming loss: the share of answers that are wrong, over examples and outputs.

    See "Improved Boosting Algorithms Using Confidence-rated Predictions", Schapire and Singer, 1999.

    Args:
      scores: (..., outputs), floating point: probabilities, or logits with a threshold of 0. NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (..., outputs) or its leading axes; 0 for padding, None for 1 each.
      threshold: of the answer yes.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or labels known to be neither 0 nor 1.

    >>> float(hamming_loss(jnp.array([[0.9, 0.2], [0.6, 0.1]]), jnp.array([[1, 0], [0, 0]])).value())
    0.25
    """
    positive, weight = yes_or_no("hamming_loss", scores, labels, weight)
    return Mean(total((scores > threshold) != positive, weight), jnp.sum(weight))


def subset_accuracy(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, threshold: float = 0.5
) -> Mean:
    """Subset accuracy, the exact match ratio: how often all answers of an example are right.

    Args:
      scores: (..., outputs), floating point: probabilities, or logits with a threshold of 0. NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      threshold: of the answer yes.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or labels known to be neither 0 nor 1.

    >>> float(subset_accuracy(jnp.array([[0.9, 0.2], [0.6, 0.1]]), jnp.array([[1, 0], [0, 0]])).value())
    0.5
    """
    checks.rank("subset_accuracy", scores, 1)
    checks.same_shape("subset_accuracy", scores=scores, labels=labels)
    rows = spread("subset_accuracy", weight, labels[..., 0])
    positive, each = yes_or_no("subset_accuracy", scores, labels, rows)
    rows = jnp.where(jnp.any(jnp.isnan(each), -1), jnp.nan, rows)
    return Mean(total(jnp.all((scores > threshold) == positive, -1), rows), jnp.sum(rows))
