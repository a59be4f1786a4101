"""Rankings of items for queries: average precision, reciprocal rank, precision, recall, hits, fall-out at k.

A query is one row of scores (..., items) and of relevance. All of them are means over queries.

Laws: as in `_ranked_items`; of fall-out, a query without an irrelevant item is left out.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.metrics._ranked_items import first, hits
from jnn.metrics._sums import Mean, ratio, total
from jnn.precision import over_last_axes


def retrieval_average_precision(
    scores: jax.Array, relevance: jax.Array, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Mean average precision (MAP) of rankings: the precision at each relevant item, over those of a query.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(retrieval_average_precision(jnp.array([[3.0, 2.0, 1.0, 0.0]]), jnp.array([[1, 0, 0, 1]])).value())
    0.75
    """
    found, weight = hits("retrieval_average_precision", scores, relevance, weight, None, mask)
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
    found, weight = hits("mean_reciprocal_rank", scores, relevance, weight, k, mask)
    place = jnp.arange(1, found.shape[-1] + 1, dtype=found.dtype)
    return Mean(total(jnp.max(first(found / over_last_axes(place, found), k), -1), weight), jnp.sum(weight))


def precision_at_k(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Precision at k: the share of the first k places that holds a relevant item.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(precision_at_k(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]]), 2).value())
    0.5
    """
    found, weight = hits("precision_at_k", scores, relevance, weight, k, mask)
    return Mean(total(jnp.sum(first(found, k), -1) / k, weight), jnp.sum(weight))


def recall_at_k(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Recall at k: the share of a query's relevant items that is among the first k.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(recall_at_k(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[1, 0, 1]]), 1).value())
    0.5
    """
    found, weight = hits("recall_at_k", scores, relevance, weight, k, mask)
    return _share(first(found, k), found, weight)


def hit_rate(
    scores: jax.Array, relevance: jax.Array, k: int, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """Hit rate at k: how often a relevant item is among the first k.

    See "Item-Based Top-N Recommendation Algorithms", Deshpande and Karypis, 2004. Args and Raises as of `ndcg`; an
    item is relevant where its relevance is more than 0.

    >>> float(hit_rate(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]]), 2).value())
    1.0
    """
    found, weight = hits("hit_rate", scores, relevance, weight, k, mask)
    return Mean(total(jnp.max(first(found, k), -1), weight), jnp.sum(weight))


def r_precision(
    scores: jax.Array, relevance: jax.Array, weight: jax.Array | None = None, *, mask: jax.Array | None = None
) -> Mean:
    """R-precision: the precision at k, where k is how many relevant items a query has.

    See "Evaluating Evaluation Measure Stability", Buckley and Voorhees, 2000. Args and Raises as of `ndcg`; an item
    is relevant where its relevance is more than 0.

    >>> float(r_precision(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[0, 1, 1]])).value())
    0.5
    """
    found, weight = hits("r_precision", scores, relevance, weight, None, mask)
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
    found, weight = hits("fall_out_at_k", scores, irrelevant, weight, k, mask)
    return _share(first(found, k), found, weight)


def _share(some: jax.Array, found: jax.Array, weight: jax.Array) -> Mean:
    """How many of what is found are among some of it."""
    return Mean(total(ratio(jnp.sum(some, -1), jnp.sum(found, -1), empty=0.0), weight), jnp.sum(weight))
