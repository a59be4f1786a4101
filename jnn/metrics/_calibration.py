"""Calibration: how far the probabilities of a classifier are from how often it is right."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn.metrics._counting import histogram
from jnn.metrics._sums import Mean, classified, in_unit_interval, ratio, total
from jnn.precision import wide


def brier_score(probabilities: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Brier score: the squared distance of the probabilities from the label's, 0 to 2; of two classes half is usual.

    See "Verification of Forecasts Expressed in Terms of Probability", Brier, 1950.

    Args:
      probabilities: (..., classes), floating point, in [0, 1]: the softmax of logits. NaN among them gives NaN.
      labels: (...), integers in 0..classes-1.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: probabilities are not floating point, or labels not integers.
      ValueError: shapes do not fit, or values known to lie out of range.

    >>> float(brier_score(jnp.array([[0.5, 0.5], [1.0, 0.0]]), jnp.array([1, 0])).value())
    0.25
    """
    labels, weight = _of_probabilities("brier_score", probabilities, labels, weight)
    p = wide(probabilities)
    own = jnp.take_along_axis(p, labels[..., None], axis=-1)[..., 0]
    return Mean(total(jnp.sum(p**2, -1) - own**2 + (1 - own) ** 2, weight), jnp.sum(weight))


class Calibration(NamedTuple):
    """Calibration by confidence: sums of confidences, of right answers and of weights: three arrays (..., bins).

    >>> error = Calibration(jnp.array([1.2, 0.9]), jnp.array([1.0, 1.0]), jnp.array([2.0, 1.0]))
    >>> round(float(error.value()), 3), round(float(error.maximum()), 3)
    (0.1, 0.1)
    """

    confidence: Any
    correct: Any
    weight: Any

    def gaps(self) -> Any:
        """|mean confidence - accuracy| of each bin, 0 of an empty one: (..., bins)."""
        return ratio(abs(self.confidence - self.correct), self.weight, empty=0.0)

    def maximum(self) -> Any:
        """The maximum calibration error: the greatest gap; NaN where nothing is counted."""
        rows = self.weight.sum(-1)
        return ratio(self.gaps().max(-1) * rows, rows)

    def value(self) -> Any:
        """The expected calibration error: the mean gap over examples."""
        return ratio(abs(self.confidence - self.correct).sum(-1), self.weight.sum(-1))


def calibration_error(
    probabilities: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, bins: int = 15
) -> Calibration:
    """Calibration error, expected and maximum: of the most probable class, over bins of equal width.

    See "Obtaining Well Calibrated Probabilities Using Bayesian Binning", Naeini et al., 2015, and "On Calibration of
    Modern Neural Networks", Guo et al., 2017.

    Args:
      probabilities: (..., classes), floating point, in [0, 1]: the softmax of logits. NaN among them gives NaN.
      labels: (...), integers in 0..classes-1.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      bins: how many: the i-th holds the confidences in (i / bins, (i + 1) / bins].

    Raises:
      TypeError: probabilities are not floating point, or labels not integers.
      ValueError: shapes do not fit, values known to lie out of range, or no bin.

    >>> round(float(calibration_error(jnp.array([[0.1, 0.9], [0.7, 0.3]]), jnp.array([1, 1])).value()), 3)
    0.4
    """
    if bins < 1:
        raise ValueError(f"calibration_error: expected at least one bin, found {bins}.")
    labels, weight = _of_probabilities("calibration_error", probabilities, labels, weight)
    confidence = jnp.where(weight == 0, 0.0, jnp.max(wide(probabilities), -1))
    correct = jnp.argmax(probabilities, -1) == labels
    index = jnp.clip(jnp.ceil(jnp.nan_to_num(confidence) * bins) - 1, 0, bins - 1).astype(jnp.int32)
    # the product with a NaN weight is NaN; a choice by `correct` would lose it
    hits = jnp.where(jnp.isnan(weight) | correct, weight, 0.0)
    return Calibration(*(histogram(index, each, bins) for each in (confidence * weight, hits, weight)))


def _of_probabilities(
    name: str, probabilities: jax.Array, labels: jax.Array, weight: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """`classified`, of what are probabilities."""
    labels, weight = classified(name, probabilities, labels, weight)
    return labels, in_unit_interval(name, probabilities, weight, squash="softmax")
