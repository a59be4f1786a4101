"""Ranking of items for queries: NDCG, average precision, reciprocal rank, precision, recall, hits, fall-out at k.

A query is one row of scores (..., items) and of relevance. All of them are means over queries.

Laws: of equal scores the first item is the higher; a masked item is not there; a query without a relevant item
is left out, as there is nothing to be found; of fall-out, one without an irrelevant item.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import Mean, ratio, spread, total
from jnn.precision import over_last_axes, wide

Gain = Callable[[jax.Array], jax.Array]


def ndcg(
    scores: jax.Array,
    relevance: jax.Array,
    weight: jax.Array | None = None,
    *,
    k: int | None = None,
    mask: jax.Array | None = None,
    gain: Gain | None = None,
) -> Mean:
    """NDCG, normalized discounted cumulative gain, of the first k items.

    See "Cumulated Gain-Based Evaluation of IR Techniques", Järvelin and Kekäläinen, 2002.

    Args:
      scores: (..., items), floating point: the higher, the earlier. NaN gives NaN.
      relevance: the same shape, 0 or more.
      weight: (...) or its leading axes, of queries; 0 for padding, None for 1 each.
      k: how many items are looked at; None for all.
      mask: the same shape as scores, false for items that are not there; None for all of them.
      gain: of a relevance, 0 of 0; None for the relevances themselves. `exponential_gain` is that of the losses.

    Returns:
      Mean over the queries that have a relevant item.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or k outside 1..items.

    >>> round(float(ndcg(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 0]])).value()), 4)
    0.6309
    """
    gains, weight = _ranked("ndcg", scores, relevance, weight, k, mask)
    gains = gains if gain is None else gain(gains)
    ideal = -jnp.sort(-gains, axis=-1)
    discount = 1 / jnp.log2(jnp.arange(gains.shape[-1], dtype=gains.dtype) + 2)
    sums = [jnp.sum(_first(x, k) * over_last_axes(_first(discount, k), gains), -1) for x in (gains, ideal)]
    return Mean(total(ratio(*sums, empty=0.0), weight), jnp.sum(weight))


def exponential_gain(relevance: jax.Array) -> jax.Array:
    """Exponential gain of NDCG: `2**relevance - 1`.

    See "Learning to Rank using Gradient Descent", Burges et al., 2005.

    >>> exponential_gain(jnp.array([0.0, 1.0, 3.0])).round(4).tolist()
    [0.0, 1.0, 7.0]
    """
    return jnp.expm1(relevance * math.log(2))


def retrieval_average_precision(
    scores: jax.Array, relevance: jax.Array, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Mean average precision (MAP) of rankings: the precision at each relevant item, over those of a query.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(retrieval_average_precision(jnp.array([[3.0, 2.0, 1.0, 0.0]]), jnp.array([[1, 0, 0, 1]])).value())
    0.75
    """
    found, weight = _found("retrieval_average_precision", scores, relevance, weight, None, mask)
    place = jnp.arange(1, found.shape[-1] + 1, dtype=found.dtype)
    precision = jnp.cumsum(found, -1) / over_last_axes(place, found)
    return Mean(total(ratio(jnp.sum(found * precision, -1), jnp.sum(found, -1), empty=0.0), weight), jnp.sum(weight))


def mean_reciprocal_rank(
    scores: jax.Array,
    relevance: jax.Array,
    weight: jax.Array | None = None,
    *,
    k: int | None = None,
    mask: jax.Array | None = None,
) -> Mean:
    """Mean reciprocal rank (MRR): one over the place of the first relevant item, 0 beyond the first k.

    See "The TREC-8 Question Answering Track Report", Voorhees, 1999. Args and Raises as of `ndcg`; an item is
    relevant where its relevance is more than 0.

    >>> float(mean_reciprocal_rank(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]])).value())
    0.5
    """
    found, weight = _found("mean_reciprocal_rank", scores, relevance, weight, k, mask)
    place = jnp.arange(1, found.shape[-1] + 1, dtype=found.dtype)
    return Mean(total(jnp.max(_first(found / over_last_axes(place, found), k), -1), weight), jnp.sum(weight))


def precision_at_k(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Precision at k: the share of the first k places that holds a relevant item.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(precision_at_k(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]]), 2).value())
    0.5
    """
    found, weight = _found("precision_at_k", scores, relevance, weight, k, mask)
    return Mean(total(jnp.sum(_first(found, k), -1) / k, weight), jnp.sum(weight))


def recall_at_k(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Recall at k: the share of a query's relevant items that is among the first k.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(recall_at_k(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[1, 0, 1]]), 1).value())
    0.5
    """
    found, weight = _found("recall_at_k", scores, relevance, weight, k, mask)
    return _share(_first(found, k), found, weight)


def hit_rate(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Hit rate at k: how often a relevant item is among the first k.

    See "Item-Based Top-N Recommendation Algorithms", Deshpande and Karypis, 2004. Args and Raises as of `ndcg`; an
    item is relevant where its relevance is more than 0.

    >>> float(hit_rate(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]]), 2).value())
    1.0
    """
    found, weight = _found("hit_rate", scores, relevance, weight, k, mask)
    return Mean(total(jnp.max(_first(found, k), -1), weight), jnp.sum(weight))


def r_precision(
    scores: jax.Array, relevance: jax.Array, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """R-precision: the precision at k, where k is how many relevant items a query has.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(r_precision(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]])).value())
    0.5
    """
    found, weight = _found("r_precision", scores, relevance, weight, None, mask)
    place, relevant = jnp.arange(found.shape[-1]), jnp.sum(found, -1, keepdims=True)
    return _share(jnp.where(over_last_axes(place, found) < relevant, found, 0), found, weight)


def fall_out_at_k(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Fall-out at k: the share of a query's irrelevant items that is among the first k; the lower, the better.

    See "Information Retrieval", van Rijsbergen, 1979. Args and Raises as of `ndcg`; an item is irrelevant where its
    relevance is 0.

    Returns:
      Mean over the queries that have an irrelevant item.

    >>> float(fall_out_at_k(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[1, 0, 0]]), 2).value())
    0.5
    """
    irrelevant = jnp.where(jnp.isnan(relevance), relevance, relevance <= 0)
    found, weight = _found("fall_out_at_k", scores, irrelevant, weight, k, mask)
    return _share(_first(found, k), found, weight)


def _first(x: jax.Array, k: int | None) -> jax.Array:
    return x[..., :k]


def _share(some: jax.Array, found: jax.Array, weight: jax.Array) -> Mean:
    """How many of what is found are among some of it."""
    return Mean(total(ratio(jnp.sum(some, -1), jnp.sum(found, -1), empty=0.0), weight), jnp.sum(weight))


def _found(
    name: str,
    scores: jax.Array,
    relevance: jax.Array,
    weight: jax.Array | None,
    k: int | None,
    mask: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """1 for each relevant item and 0 for the others, from the first to the last, and the weight of each query."""
    gains, weight = _ranked(name, scores, relevance, weight, k, mask)
    return (gains > 0).astype(gains.dtype), weight


def _ranked(
    name: str,
    scores: jax.Array,
    relevance: jax.Array,
    weight: jax.Array | None,
    k: int | None,
    mask: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """The relevance of the items from the first to the last, 0 of masked ones, and the weight of each query.

    The weight is 0 where nothing is relevant, NaN where an item that counts has a NaN score or relevance.
    """
    checks.floats(name, scores)
    checks.same_shape(name, scores=scores, relevance=relevance, **({} if mask is None else {"mask": mask}))
    if k is not None and not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"{name}: expected k in 1..{scores.shape[-1]}, found {k}.")
    absent = jnp.zeros(scores.shape, bool) if mask is None else mask == 0
    relevance = jnp.where(absent, 0, wide(relevance))
    weight = spread(name, weight, relevance[..., 0])
    broken = jnp.any(~absent & (jnp.isnan(scores) | jnp.isnan(relevance)), -1)
    weight = jnp.where(jnp.any(relevance > 0, -1) | broken, weight, 0)
    order = jnp.lexsort((-scores, absent), axis=-1)
    return jnp.take_along_axis(relevance, order, -1), jnp.where(broken & (weight != 0), jnp.nan, weight)
