"""ROC AUC: the chance that a positive example scores higher than a negative one, ties counting half.

    roc_auc_histogram(scores, labels)   sums that merge; exact up to a bound that it states; the curve and what it says
    roc_auc(scores, labels)             exact, from all scores at once, on the host

See "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve", Hanley and
McNeil, 1982.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics._sums import ratio
from jnn.metrics._thresholds import by_label, by_score, checked_share


class AucHistogram(NamedTuple):
    """Weights of positive and negative examples by score, ascending: two arrays (..., bins).

    Scores within a bin count as ties, so the value is off by at most `error_bound()`. The ROC curve has a point for
    each threshold, (..., bins + 1), from the strictest one, which takes nothing, to the one that takes all; lines join
    them, as ties have it.
    """

    positive: Any
    negative: Any

    def value(self) -> Any:
        """The area under the curve, NaN where one of the classes is missing."""
        below = self.negative.cumsum(-1) - self.negative
        return ratio((self.positive * (below + 0.5 * self.negative)).sum(-1), self._pairs())

    def error_bound(self) -> Any:
        """Half the share of pairs that fall into one bin: no arrangement within bins moves the value further."""
        return ratio(0.5 * (self.positive * self.negative).sum(-1), self._pairs())

    def sensitivity(self) -> Any:
        """The true positive rate: of the positive examples, the share that is taken: (..., bins + 1)."""
        return _share(_taken(self.positive))

    def false_positive_rate(self) -> Any:
        """Of the negative examples, the share that is taken: (..., bins + 1)."""
        return _share(_taken(self.negative))

    def specificity(self) -> Any:
        """The true negative rate: of the negative examples, the share that is not taken: (..., bins + 1)."""
        taken = _taken(self.negative)
        return ratio(taken[..., -1:] - taken, taken[..., -1:])

    def sensitivity_at_specificity(self, specificity: float) -> Any:
        """The greatest sensitivity of a threshold with this specificity or more; NaN as the value."""
        reached = self.specificity() >= checked_share("sensitivity_at_specificity", "specificity", specificity)
        return (self.sensitivity() * reached).max(-1) + 0 * self.value()

    def specificity_at_sensitivity(self, sensitivity: float) -> Any:
        """The greatest specificity of a threshold with this sensitivity or more; NaN as the value."""
        reached = self.sensitivity() >= checked_share("specificity_at_sensitivity", "sensitivity", sensitivity)
        return (self.specificity() * reached).max(-1) + 0 * self.value()

    def equal_error_rate(self) -> Any:
        """The equal error rate (EER): where the curve has as many false positives as negatives; NaN as the value."""
        x, y = self.false_positive_rate(), self.sensitivity()
        lead = x + y - 1  # from -1 to 1
        share = ratio(-lead[..., :-1], _steps(lead), empty=0.0).clip(0, 1)  # of each step, what lies before 0
        return (share * _steps(x)).sum(-1) + 0 * self.value()

    def log_auc(self, low: float = 0.001, high: float = 0.1) -> Any:
        """The mean sensitivity over the logarithm of the false positive rate, from low to high; NaN as the value.

        See "Rapid Context-Dependent Ligand Desolvation in Molecular Docking", Mysinger and Shoichet, 2010.
        """
        if not 0 < low < high <= 1:
            raise ValueError(f"log_auc: expected 0 < low < high <= 1, found low {low} and high {high}.")
        xp: Any = jnp if isinstance(self.positive, jax.Array) else np
        x, y = self.false_positive_rate(), self.sensitivity()
        slope, inside = ratio(_steps(y), _steps(x), empty=0.0), x.clip(low, high)
        area = (y[..., :-1] - slope * x[..., :-1]) * _steps(xp.log(inside))
        return (area + slope * _steps(inside)).sum(-1) / math.log(high / low) + 0 * self.value()

    def _pairs(self) -> Any:
        return self.positive.sum(-1) * self.negative.sum(-1)


def _steps(x: Any) -> Any:
    """What each number is more than the one before, along the last axis."""
    return x[..., 1:] - x[..., :-1]


def _taken(count: Any) -> Any:
    """What lies above each threshold, nothing first: (..., bins) -> (..., bins + 1)."""
    xp: Any = jnp if isinstance(count, jax.Array) else np
    return xp.concatenate([0 * count[..., :1], count[..., ::-1].cumsum(-1)], -1)


def _share(taken: Any) -> Any:
    return ratio(taken, taken[..., -1:])


def roc_auc_histogram(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, bins: int = 1024
) -> AucHistogram:
    """ROC AUC as sums, from a histogram of the scores.

    Args:
      scores: (...), in [0, 1]; pass logits through a sigmoid, which keeps their order. NaN gives NaN, and so do
        scores outside under `jit`.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      bins: how many, of width 1 / bins. Distinct scores that are a bin apart are never tied.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, labels known to be neither 0 nor 1, scores known to lie outside, or no bin.

    >>> auc = roc_auc_histogram(jnp.array([0.1, 0.4, 0.8]), jnp.array([0, 1, 1]))
    >>> float(auc.value()), float(auc.error_bound()), float(auc.sensitivity_at_specificity(0.9))
    (1.0, 0.0, 1.0)
    """
    return AucHistogram(*by_label("roc_auc_histogram", scores, labels, weight, bins))


def roc_auc(scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> float:
    """ROC AUC of whole arrays, exact to float64, on the host.

    Args:
      scores: (...), floating point, on any scale.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or labels are neither 0 nor 1.

    >>> roc_auc(jnp.array([-3.0, 2.0, 2.0]), jnp.array([0, 1, 0]))
    0.75
    """
    return float(exact("roc_auc", scores, labels, weight).value())


def exact(name: str, scores: jax.Array, labels: jax.Array, weight: jax.Array | None) -> AucHistogram:
    """A bin for each distinct score, on the host."""
    positive, negative, _ = by_score(name, scores, labels, weight)
    return AucHistogram(positive, negative)
