"""Correlation of ranks, of whole arrays, on the host: Spearman's rho and Kendall's tau."""

from __future__ import annotations

from typing import Literal, get_args

import jax
import numpy as np

from jnn import checks
from jnn.metrics._sums import ratio, spread

Variant = Literal["b", "c"]


def spearman_correlation(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> float:
    """Spearman correlation of whole arrays: Pearson's of their ranks, equal values sharing theirs; on the host.

    See "The Proof and Measurement of Association between Two Things", Spearman, 1904.

    Args:
      predictions: (...), floating point.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each: 2 is that of two equal rows.

    Returns:
      The correlation in float64, NaN where one of them does not vary or has NaN.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, or are empty.

    >>> spearman_correlation(np.array([1.0, 2.0, 30.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    x, y, each = _rows("spearman_correlation", predictions, targets, weight)
    x, y = (_mid_rank(row, each) for row in (x, y))
    mean_of = lambda rank: ratio(np.sum(each * rank), np.sum(each))
    x, y = (rank - mean_of(rank) for rank in (x, y))
    return float(ratio(np.sum(each * x * y), np.sqrt(np.sum(each * x * x) * np.sum(each * y * y))))


def kendall_correlation(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, variant: Variant = "b"
) -> float:
    """Kendall rank correlation (tau) of whole arrays: pairs in one order less those in opposite order; on the host.

    See "A New Measure of Rank Correlation", Kendall, 1938; "The Treatment of Ties in Ranking Problems", Kendall, 1945;
    "The Estimation and Comparison of Strengths of Association in Contingency Tables", Stuart, 1953.

    Args:
      predictions: (...), floating point.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each: 2 is that of two equal rows.
      variant: "b" leaves out pairs that are tied (tau-b); "c" is for tables whose sides differ in length (tau-c).

    Returns:
      The correlation in float64, from -1 to 1, NaN where one of them does not vary or has NaN.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, or are empty, or another variant.

    >>> round(kendall_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 4)
    0.3333
    """
    if variant not in get_args(Variant):
        raise ValueError(f"kendall_correlation: expected variant 'b' or 'c', found {variant!r}.")
    x, y, each = _rows("kendall_correlation", predictions, targets, weight)
    (x_names, x), (y_names, y) = (np.unique(row, return_inverse=True) for row in (x, y))
    x_apart, y_apart, one_apart = (_apart(groups, each) for groups in (x, y, x * len(y_names) + y))
    comparable = x_apart + y_apart - one_apart
    order = np.lexsort((y, x))  # what is tied in x is never inverted
    surplus = comparable - 2 * _inversions(y[order], each[order])
    fewer = min(len(x_names), len(y_names))
    whole = np.sqrt(x_apart * y_apart) if variant == "b" else each.sum() ** 2 * ratio(fewer - 1, 2 * fewer)
    return float(ratio(surplus, whole))


def _mid_rank(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weight of what is less than each value, and half of what is equal.

    >>> _mid_rank(np.array([3, 1, 3]), np.ones(3)).tolist()
    [2.0, 0.5, 2.0]
    """
    order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    less, less_or_equal = (below[np.searchsorted(values[order], values, side)] for side in ("left", "right"))
    return (less + less_or_equal) / 2


def _apart(groups: np.ndarray, weight: np.ndarray) -> float:
    """The weight of the pairs whose two are of different groups."""
    sizes = np.bincount(np.unique(groups, return_inverse=True)[1], weight)
    return float((sizes.sum() ** 2 - (sizes**2).sum()) / 2)


def _inversions(ranks: np.ndarray, weight: np.ndarray) -> float:
    """The weight of the pairs whose first rank is the greater one, counted by the highest bit in which they differ."""
    found = 0.0
    for bit in reversed(range(int(ranks.max(initial=0)).bit_length())):
        group, high = ranks >> (bit + 1), (ranks >> bit) & 1
        before = np.concatenate([[0.0], np.cumsum(weight * high)])
        begin = np.searchsorted(group, group)  # ranks are sorted by their higher bits, and stay in order within
        found += np.sum((weight * (1 - high)) * (before[:-1] - before[begin]))
        order = np.argsort(ranks >> bit, kind="stable")
        ranks, weight = ranks[order], weight[order]
    return float(found)


def _rows(
    name: str, predictions: jax.Array, targets: jax.Array, weight: jax.Array | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those whose weight is not 0, and the weight of each: NaN where one of them is."""
    checks.floats(name, predictions, ndim=0)
    checks.same_shape(name, predictions=predictions, targets=targets)
    x, y = np.asarray(predictions).ravel(), np.asarray(targets).ravel()
    unknown = np.isnan(x) | np.isnan(y)
    each = np.asarray(spread(name, weight, unknown.reshape(predictions.shape)), np.float64).ravel()
    kept = each != 0
    return x[kept], y[kept], np.where(unknown, np.nan, each)[kept]
