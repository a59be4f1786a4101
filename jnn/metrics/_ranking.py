"""ROC AUC: the chance that a positive example scores higher than a negative one, ties counting half.

    roc_auc_histogram(scores, labels)   sums that merge; exact up to a bound that it states
    roc_auc(scores, labels)             exact, from all scores at once, on the host

See "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve", Hanley and
McNeil, 1982.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics._counting import histogram
from jnn.metrics._sums import ratio, yes_or_no


class AucHistogram(NamedTuple):
    """Weights of positive and negative examples by score: two arrays (..., bins).

    Scores within a bin count as ties, so the value is off by at most `error_bound()`.
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

    def _pairs(self) -> Any:
        return self.positive.sum(-1) * self.negative.sum(-1)


def roc_auc_histogram(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, bins: int = 1024
) -> AucHistogram:
    """ROC AUC as sums, from a histogram of the scores.

    Args:
      scores: (...), in [0, 1]; pass logits through a sigmoid, which keeps their order. Scores outside
        count in the first or last bin, within the bound; NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      bins: how many, of width 1 / bins. Distinct scores that are a bin apart are never tied.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, labels known to be neither 0 nor 1, or no bin.

    >>> auc = roc_auc_histogram(jnp.array([0.1, 0.4, 0.8]), jnp.array([0, 1, 1]))
    >>> float(auc.value()), float(auc.error_bound())
    (1.0, 0.0)
    """
    return AucHistogram(*by_label("roc_auc_histogram", scores, labels, weight, bins))


def by_label(
    name: str, scores: jax.Array, labels: jax.Array, weight: jax.Array | None, bins: int
) -> tuple[jax.Array, jax.Array]:
    """The weights of positive and of negative examples by score: (bins,) each, of width 1 / bins."""
    if bins < 1:
        raise ValueError(f"{name}: expected at least one bin, found {bins}.")
    positive, weight = yes_or_no(name, scores, labels, weight)
    index = jnp.clip(jnp.nan_to_num(scores) * bins, 0, bins - 1).astype(jnp.int32)
    # two histograms in one: negative examples in the first half, positive ones in the second
    counts = histogram(index + bins * positive, weight, 2 * bins)
    return counts[bins:], counts[:bins]


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
    positive, weight = yes_or_no("roc_auc", scores, labels, weight)
    each, yes = np.asarray(weight, np.float64).ravel(), np.asarray(positive).ravel()
    rank = mid_rank(np.asarray(scores).ravel(), each * ~yes)
    return float(ratio(np.sum(each * yes * rank), np.sum(each * yes) * np.sum(each * ~yes)))


def mid_rank(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weight of what is less than each value, and half of what is equal.

    >>> mid_rank(np.array([3, 1, 3]), np.ones(3)).tolist()
    [2.0, 0.5, 2.0]
    """
    order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    less, less_or_equal = (below[np.searchsorted(values[order], values, side)] for side in ("left", "right"))
    return (less + less_or_equal) / 2
