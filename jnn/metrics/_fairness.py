"""Fairness: how the rates of a yes-or-no answer differ between groups."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._counting import histogram
from jnn.metrics._sums import ratio, yes_or_no
from jnn.precision import clipped_integers


class GroupCounts(NamedTuple):
    """Counts by group: (..., groups, 2, 2), the last two axes are label and answer.

    >>> counts = GroupCounts(jnp.array([[[1.0, 1.0], [0.0, 2.0]], [[2.0, 0.0], [1.0, 1.0]]]))
    >>> counts.selection_rates().tolist(), float(counts.value()), float(counts.equalized_odds_difference())
    ([0.75, 0.25], 0.5, 0.5)
    """

    counts: Any

    def selection_rates(self) -> Any:
        """The share of the answer yes in each group: (..., groups)."""
        return ratio(self.counts[..., 1].sum(-1), self.counts.sum((-2, -1)))

    def demographic_parity_difference(self) -> Any:
        """The greatest selection rate of a group that occurs less the smallest.

        See "Fairness Through Awareness", Dwork et al., 2012.
        """
        return _range(self.counts[..., 1].sum(-1), self.counts.sum((-2, -1)))

    def equalized_odds_difference(self) -> Any:
        """The greater of the ranges, over groups, of the true and the false positive rate.

        A group without examples of a label has no rate of it, and is left out. See "Equality of Opportunity in
        Supervised Learning", Hardt et al., 2016.
        """
        each = _range(self.counts[..., 1].swapaxes(-2, -1), self.counts.sum(-1).swapaxes(-2, -1))
        return each.max(-1)

    def value(self) -> Any:
        """The demographic parity difference."""
        return self.demographic_parity_difference()


def group_counts(
    scores: jax.Array,
    labels: jax.Array,
    groups: jax.Array,
    weight: jax.Array | None = None,
    *,
    num_groups: int,
    threshold: float = 0.5,
) -> GroupCounts:
    """Fairness counts: of each group, label and answer, for demographic parity and equalized odds differences.

    Args:
      scores: (...), floating point: probabilities, or logits with a threshold of 0. NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      groups: the same shape, integers in 0..num_groups-1.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      num_groups: how many groups there are.
      threshold: of the answer yes.

    Raises:
      TypeError: scores are not floating point, or groups not integers.
      ValueError: shapes differ, or labels or groups known to lie out of range.

    >>> float(group_counts(jnp.array([0.9, 0.1]), jnp.array([1, 0]), jnp.array([0, 1]), num_groups=2).value())
    1.0
    """
    checks.integers("group_counts", groups, name="groups")
    checks.same_shape("group_counts", scores=scores, groups=groups)
    positive, weight = yes_or_no("group_counts", scores, labels, weight)
    groups = jnp.where(weight == 0, 0, clipped_integers(groups))
    checks.in_range("group_counts", groups, num_groups, what="groups", of="groups")
    known = (groups >= 0) & (groups < num_groups)
    index = 4 * jnp.where(known, groups, 0) + 2 * positive + (scores > threshold)
    counts = histogram(index, jnp.where(known, weight, jnp.nan), 4 * num_groups)
    return GroupCounts(counts.reshape(num_groups, 2, 2))


def _range(total: Any, weight: Any) -> Any:
    """The greatest rate less the smallest, over the last axis, of what has any weight; NaN where nothing has."""
    xp: Any = jnp if isinstance(total, jax.Array) else np
    most = xp.max(ratio(total, weight, empty=-np.inf), -1)
    least = xp.min(ratio(total, weight, empty=np.inf), -1)
    return xp.where(xp.all(weight == 0, -1), np.nan, most - least)
