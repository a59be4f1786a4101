"""The ROC curve of whole arrays and what it says, on the host, in float64; exact, whatever the scores' scale.

    roc_curve(scores, labels)                                       the curve itself
    equal_error_rate, log_auc                                       where it crosses the diagonal; a part of its area
    sensitivity_at_specificity, specificity_at_sensitivity          one of them where the other is given

Scores that are equal are taken at once, and lines join the curve's points. `roc_auc_histogram` has sums that merge, and
methods of the same names.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jnn.metrics._roc_auc import AucHistogram, exact
from jnn.metrics._thresholds import by_score


class RocCurve(NamedTuple):
    """ROC curve: a point for each threshold, from the strictest to the one that takes all; NumPy arrays (points,).

    Attributes:
      false_positive_rate: of the negative examples, the share that scores a threshold or more.
      sensitivity: of the positive examples, that share: the true positive rate.
      thresholds: infinity, which takes nothing, and each distinct score, descending.
    """

    false_positive_rate: np.ndarray
    sensitivity: np.ndarray
    thresholds: np.ndarray

    @property
    def combine(self) -> None:
        """None: curves do not add up."""


def roc_curve(scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> RocCurve:
    """ROC curve (receiver operating characteristic): sensitivity over false positive rate, a point for each threshold.

    See "An Introduction to ROC Analysis", Fawcett, 2006.

    Args:
      scores: (...), floating point, on any scale.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Returns:
      RocCurve of arrays (distinct scores + 1,); rates are NaN where a class is missing.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or labels are neither 0 nor 1.

    >>> x, y, _ = roc_curve(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0]))
    >>> x.tolist(), y.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    positive, negative, distinct = by_score("roc_curve", scores, labels, weight)
    curve = AucHistogram(positive, negative)
    thresholds = np.concatenate([[np.inf], distinct[::-1]])
    return RocCurve(curve.false_positive_rate(), curve.sensitivity(), thresholds)


def equal_error_rate(scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> float:
    """Equal error rate (EER): where the ROC curve has as great a share of false positives as of false negatives.

    Takes and raises what `roc_curve` does; NaN where a class is missing.

    >>> equal_error_rate(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0]))
    0.5
    """
    return float(exact("equal_error_rate", scores, labels, weight).equal_error_rate())


def sensitivity_at_specificity(
    scores: jax.Array, labels: jax.Array, specificity: float, weight: jax.Array | None = None
) -> float:
    """Sensitivity at specificity: the greatest sensitivity of a threshold with this specificity or more.

    Takes and raises what `roc_curve` does; ValueError for a specificity outside [0, 1]. NaN where a class is missing.

    >>> sensitivity_at_specificity(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0]), 0.9)
    0.5
    """
    found = exact("sensitivity_at_specificity", scores, labels, weight)
    return float(found.sensitivity_at_specificity(specificity))


def specificity_at_sensitivity(
    scores: jax.Array, labels: jax.Array, sensitivity: float, weight: jax.Array | None = None
) -> float:
    """Specificity at sensitivity: the greatest specificity of a threshold with this sensitivity or more.

    Takes and raises what `roc_curve` does; ValueError for a sensitivity outside [0, 1]. NaN where a class is missing.

    >>> specificity_at_sensitivity(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0]), 0.5)
    1.0
    """
    found = exact("specificity_at_sensitivity", scores, labels, weight)
    return float(found.specificity_at_sensitivity(sensitivity))


def log_auc(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, low: float = 0.001, high: float = 0.1
) -> float:
    """LogAUC: the mean sensitivity over the logarithm of the false positive rate, so that first hits count most.

    See "Rapid Context-Dependent Ligand Desolvation in Molecular Docking", Mysinger and Shoichet, 2010.

    Args:
      scores, labels, weight: as for `roc_curve`.
      low, high: the part of the false positive rates: 0 < low < high <= 1.

    Returns:
      From 0 to 1; NaN where a class is missing.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, labels are neither 0 nor 1, or low and high are no part of 0..1.

    >>> log_auc(np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0]), low=0.25, high=1.0)
    0.75
    """
    return float(exact("log_auc", scores, labels, weight).log_auc(low, high))
