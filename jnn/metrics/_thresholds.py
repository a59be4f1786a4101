"""What metrics over all thresholds stand on: how many positive and negative examples there are by score."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics._counting import histogram
from jnn.metrics._sums import in_unit_interval, yes_or_no


def by_label(
    name: str, scores: jax.Array, labels: jax.Array, weight: jax.Array | None, bins: int
) -> tuple[jax.Array, jax.Array]:
    """The weights of positive and of negative examples by score: (bins,) each, of width 1 / bins."""
    if bins < 1:
        raise ValueError(f"{name}: expected at least one bin, found {bins}.")
    positive, weight = yes_or_no(name, scores, labels, weight)
    weight = in_unit_interval(name, scores, weight, squash="sigmoid")
    index = jnp.clip(jnp.nan_to_num(scores) * bins, 0, bins - 1).astype(jnp.int32)
    # two histograms in one: negative examples in the first half, positive ones in the second
    counts = histogram(index + bins * positive, weight, 2 * bins)
    return counts[bins:], counts[:bins]


def by_score(
    name: str, scores: jax.Array, labels: jax.Array, weight: jax.Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weights of positive and of negative examples by distinct score, and these, ascending, on the host."""
    positive, weight = yes_or_no(name, scores, labels, weight)
    each, yes = np.asarray(weight, np.float64).ravel(), np.asarray(positive).ravel()
    kept = each != 0
    distinct, index = np.unique(np.asarray(scores).ravel()[kept], return_inverse=True)
    if not distinct.size:  # a bin of nothing
        distinct = np.full(1, np.nan, distinct.dtype)
    count = lambda chosen: np.bincount(index, (each * chosen)[kept], distinct.size)
    return count(yes), count(~yes), distinct


def checked_share(name: str, what: str, value: float) -> float:
    """A share that a threshold is to reach: 95, in percent, none would, and 0 would be the answer."""
    if not isinstance(value, jax.core.Tracer) and not 0 <= value <= 1:
        raise ValueError(f"{name}: expected {what} in [0, 1], found {value}.")
    return value
