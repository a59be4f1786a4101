"""Precision and recall over all thresholds: the average precision, and one of them where the other is given.

    average_precision_histogram(scores, labels)          sums that merge; exact up to a bound that they state
    average_precision, recall_at_precision, ...          exact, from all scores at once, on the host

See "The Relationship Between Precision-Recall and ROC Curves", Davis and Goadrich, 2006.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics._sums import ratio
from jnn.metrics._thresholds import by_label, by_score, checked_share


class PrecisionRecall(NamedTuple):
    """Weights of positive and negative examples by score, ascending: two arrays (..., bins).

    Scores within a bin count as ties: as if all of it were taken at once.
    """

    positive: Any
    negative: Any

    def precision(self) -> Any:
        """Of the examples of a bin and all above, the share that is positive; 0 of none: (..., bins)."""
        return ratio(self._hits(), self._taken(), empty=0.0)

    def recall(self) -> Any:
        """Of the positive examples, the share in a bin and all above: (..., bins)."""
        return ratio(self._hits(), self.positive.sum(-1, keepdims=True))

    def recall_at_precision(self, precision: float) -> Any:
        """The greatest recall of a threshold with this precision or more; 0 where none has it, NaN as the value."""
        reached = self.precision() >= checked_share("recall_at_precision", "precision", precision)
        return (self.recall() * reached).max(-1) + 0 * self.value()

    def precision_at_recall(self, recall: float) -> Any:
        """The greatest precision of a threshold with this recall or more; NaN as the value."""
        reached = self.recall() >= checked_share("precision_at_recall", "recall", recall)
        return (self.precision() * reached).max(-1) + 0 * self.value()

    def value(self) -> Any:
        """The average precision, NaN where there are no positive examples."""
        return ratio((self.positive * self.precision()).sum(-1), self.positive.sum(-1))

    def error_bound(self) -> Any:
        """What the average precision is off by at most, however examples stand within their bins."""
        xp: Any = jnp if isinstance(self.positive, jax.Array) else np
        hits, misses = self._hits(), self._taken() - self._hits()
        most = self.positive * ratio(hits, hits + misses - self.negative, empty=0.0)  # positive examples first
        before = hits + misses - self.positive  # negative ones first, then the precision grows with each positive one
        least = self.positive - misses * xp.log1p(ratio(self.positive, before, empty=0.0))
        return ratio((most - least).sum(-1), self.positive.sum(-1))

    def _hits(self) -> Any:
        return self.positive[..., ::-1].cumsum(-1)[..., ::-1]

    def _taken(self) -> Any:
        return (self.positive + self.negative)[..., ::-1].cumsum(-1)[..., ::-1]


def average_precision_histogram(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, bins: int = 1024
) -> PrecisionRecall:
    """Average precision as sums, from a histogram of the scores.

    Args:
      scores: (...), in [0, 1]; pass logits through a sigmoid, which keeps their order. NaN gives NaN, and so do
        scores outside under `jit`.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      bins: how many, of width 1 / bins.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, labels known to be neither 0 nor 1, scores known to lie outside, or no bin.

    >>> found = average_precision_histogram(jnp.array([0.1, 0.4, 0.8]), jnp.array([0, 1, 1]))
    >>> float(found.value()), float(found.recall_at_precision(0.9))
    (1.0, 1.0)
    """
    return PrecisionRecall(*by_label("average_precision_histogram", scores, labels, weight, bins))


def average_precision(scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> float:
    """Average precision of whole arrays: the mean precision at each positive example, on the host, in float64.

    Args:
      scores: (...), floating point, on any scale; equal ones are taken at once.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or labels are neither 0 nor 1.

    >>> average_precision(jnp.array([3.0, 2.0, 1.0, 0.0]), jnp.array([1, 0, 0, 1]))
    0.75
    """
    return float(_exact("average_precision", scores, labels, weight).value())


def recall_at_precision(
    scores: jax.Array, labels: jax.Array, precision: float, weight: jax.Array | None = None
) -> float:
    """Recall at precision: the greatest recall of a threshold with this precision or more, on the host.

    Takes and raises what `average_precision` does; ValueError for a precision outside [0, 1].

    >>> recall_at_precision(jnp.array([3.0, 2.0, 1.0, 0.0]), jnp.array([1, 0, 1, 0]), 0.9)
    0.5
    """
    return float(_exact("recall_at_precision", scores, labels, weight).recall_at_precision(precision))


def precision_at_recall(scores: jax.Array, labels: jax.Array, recall: float, weight: jax.Array | None = None) -> float:
    """Precision at recall: the greatest precision of a threshold with this recall or more, on the host.

    Takes and raises what `average_precision` does; ValueError for a recall outside [0, 1].

    >>> precision_at_recall(jnp.array([3.0, 2.0, 1.0, 0.0]), jnp.array([1, 0, 1, 0]), 0.5)
    1.0
    """
    return float(_exact("precision_at_recall", scores, labels, weight).precision_at_recall(recall))


def _exact(name: str, scores: jax.Array, labels: jax.Array, weight: jax.Array | None) -> PrecisionRecall:
    """A bin for each distinct score."""
    positive, negative, _ = by_score(name, scores, labels, weight)
    return PrecisionRecall(positive, negative)
