"""Learning to rank: scores of the items of a list against how relevant each is, one number per list.

    ranknet, lambdarank                 pairs of items, the latter weighed by what a swap changes in NDCG
    listnet, listmle                    whole lists: the chance of the best first item, and of the best order
    approximate_ndcg                    the metric itself, with soft ranks
    margin_ranking_loss(higher, lower)  of pairs that are given as such

Items are on the last axis; `mask` (of the scores' shape) is 0 or False for padded ones, which nobody meets, whatever
they hold. A list without items, or where all are as relevant, has no pairs: it costs 0. Float32 at least. Pairs take
memory of items^2 a list; `listnet` and `listmle` of items.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting, masked
from jnn.metrics import exponential_gain

Gain = Callable[[jax.Array], jax.Array]


def ranknet(scores: jax.Array, relevance: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """RankNet loss (pairwise logistic): the chance to rank a pair of items wrongly, as a logistic cost.

    See "Learning to Rank using Gradient Descent", Burges et al., 2005.

    Args:
      scores: (..., items), floating point.
      relevance: the same shape: the greater, the higher an item belongs.
      mask: the same shape, or None.

    Returns:
      (...): `log(1 + exp(s_j - s_i))`, mean over the pairs where i is more relevant than j.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> ranknet(jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]]))
    Array([0.6931472], dtype=float32)
    """
    scores, relevance, there = _listed("ranknet", scores, relevance, mask)
    better = _pairs(jnp.greater, relevance) & _pairs(jnp.logical_and, there)
    costs = jax.nn.softplus(-_pairs(jnp.subtract, scores))
    return _mean(costs, better, (-2, -1))


def lambdarank(
    scores: jax.Array, relevance: jax.Array, *, mask: jax.Array | None = None, gain: Gain | None = exponential_gain
) -> jax.Array:
    """LambdaRank loss: RankNet's pairs, each weighed by how much NDCG changes if the two are swapped.

    See "Learning to Rank with Nonsmooth Cost Functions", Burges et al., 2006; "The LambdaLoss Framework for Ranking
    Metric Optimization", Wang et al., 2018.

    Args:
      scores, relevance, mask: as for `ranknet`; relevance is >= 0, such as 0..4.
      gain: of a relevance, as in `jnn.metrics.ndcg`; None for the relevances themselves.

    Returns:
      (...): the sum over pairs; the weights are constants to the gradient.

    Raises:
      TypeError, ValueError: as `ranknet` does.

    >>> round(float(lambdarank(jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]]))[0]), 4)
    0.2558
    """
    scores, relevance, there = _listed("lambdarank", scores, relevance, mask)
    better = _pairs(jnp.greater, relevance) & _pairs(jnp.logical_and, there)
    rank = 1 + jnp.argsort(jnp.argsort(-jnp.where(there, scores, -jnp.inf), axis=-1), axis=-1).astype(scores.dtype)
    gains = _gains("lambdarank", relevance, gain)
    swap = jnp.abs(_pairs(jnp.subtract, gains) * _pairs(jnp.subtract, _discount(rank)))
    ideal = _ideal(gains)[..., None, None]
    costs = jax.lax.stop_gradient(swap) * jax.nn.softplus(-_pairs(jnp.subtract, scores))
    return jnp.sum(jnp.where(better, costs / jnp.where(ideal == 0, 1.0, ideal), 0.0), axis=(-2, -1))


def listnet(scores: jax.Array, relevance: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """ListNet loss: cross-entropy between the softmax of the relevances and that of the scores.

    See "Learning to Rank: From Pairwise Approach to Listwise Approach", Cao et al., 2007.

    Args:
      scores, relevance, mask: as for `ranknet`.

    Returns:
      (...): one number per list.

    Raises:
      TypeError, ValueError: as `ranknet` does.

    >>> listnet(jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]]))
    Array([0.6931472], dtype=float32)
    """
    scores, relevance, there = _listed("listnet", scores, relevance, mask)
    target, log_p = (jax.nn.log_softmax(_lowest(x, there), axis=-1) for x in (relevance, scores))
    return -jnp.sum(jnp.where(there, jnp.exp(target), 0.0) * jnp.where(there, log_p, 0.0), axis=-1)


def listmle(scores: jax.Array, relevance: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """ListMLE loss: minus the log-probability of the best order, where items are drawn one after the other.

    See "Listwise Approach to Learning to Rank: Theory and Algorithm", Xia et al., 2008.

    Args:
      scores, relevance, mask: as for `ranknet`. Items as relevant are expected in the order in which they stand.

    Returns:
      (...): the Plackett-Luce negative log-likelihood of each list.

    Raises:
      TypeError, ValueError: as `ranknet` does.

    >>> listmle(jnp.array([[0.0, 0.0, 0.0]]), jnp.array([[2, 0, 1]]))
    Array([1.7917595], dtype=float32)
    """
    scores, relevance, there = _listed("listmle", scores, relevance, mask)
    order = jnp.argsort(-jnp.where(there, relevance, -jnp.inf), axis=-1, stable=True)
    best, real = jnp.take_along_axis(_lowest(scores, there), order, -1), jnp.take_along_axis(there, order, -1)
    remaining = jax.lax.cumlogsumexp(best, axis=best.ndim - 1, reverse=True)
    return jnp.sum(jnp.where(real, remaining - best, 0.0), axis=-1)


def approximate_ndcg(
    scores: jax.Array,
    relevance: jax.Array,
    *,
    mask: jax.Array | None = None,
    temperature: jax.Array | float = 0.1,
    gain: Gain | None = exponential_gain,
) -> jax.Array:
    """Approximate NDCG loss: 1 minus NDCG, each rank being 1 plus a soft count of the items with higher scores.

    See "A General Approximation Framework for Direct Optimization of Information Retrieval Measures", Qin et al., 2010.

    Args:
      scores, relevance, mask: as for `ranknet`; relevance is >= 0, such as 0..4.
      temperature: of the soft count, > 0; near 0 it is the metric, without a gradient.
      gain: of a relevance, as in `jnn.metrics.ndcg`; None for the relevances themselves.

    Returns:
      (...): in [0, 1); 0 of a list where nothing is relevant.

    Raises:
      TypeError, ValueError: as `ranknet` does, and for temperatures that are not positive.

    >>> approximate_ndcg(jnp.array([[9.0, 5.0, 1.0]]), jnp.array([[2, 1, 0]]))
    Array([0.], dtype=float32)
    """
    scores, relevance, there = _listed("approximate_ndcg", scores, relevance, mask)
    temperature = checks.number("approximate_ndcg", "temperature", temperature, lambda t: t > 0, "> 0", like=scores)
    others = _pairs(jnp.logical_and, there) & ~jnp.eye(scores.shape[-1], dtype=bool).reshape(
        (1,) * (scores.ndim - 1) + (scores.shape[-1],) * 2
    )
    above = jax.nn.sigmoid(-_pairs(jnp.subtract, scores) / temperature)
    rank = 1 + jnp.sum(jnp.where(others, above, 0.0), axis=-1)
    gains = _gains("approximate_ndcg", relevance, gain)
    ideal = _ideal(gains)
    dcg = jnp.sum(gains * _discount(rank), axis=-1)
    return jnp.where(ideal == 0, 0.0, 1 - dcg / jnp.where(ideal == 0, 1.0, ideal))


def margin_ranking_loss(higher: jax.Array, lower: jax.Array, *, margin: jax.Array | float = 0.0) -> jax.Array:
    """Margin ranking loss of pairs: by how much the lower one comes within a margin of the higher one.

    See "Large Margin Rank Boundaries for Ordinal Regression", Herbrich, Graepel and Obermayer, 2000.

    Args:
      higher: (...), floating point: scores of what belongs higher.
      lower: the same shape.
      margin: >= 0.

    Returns:
      (...): `max(0, margin - (higher - lower))` of each pair.

    Raises:
      TypeError: higher is not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or the margin is negative.

    >>> margin_ranking_loss(jnp.array([2.0, 1.0]), jnp.array([1.0, 2.0]), margin=0.5)
    Array([0. , 1.5], dtype=float32)
    """
    higher, lower = checks.pair("margin_ranking_loss", higher, lower, ndim=0)
    margin = checks.number("margin_ranking_loss", "margin", margin, lambda m: m >= 0, ">= 0", like=higher)
    return jax.nn.relu(margin - (higher - lower))


def _listed(
    name: str, scores: jax.Array, relevance: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores and relevances, 0 where they are padding, and where they are not."""
    scores, relevance = checks.pair(name, scores, relevance)
    there = masked(name, mask, scores.shape)
    return jnp.where(there, scores, 0.0), jnp.where(there, relevance, 0.0), there


def _pairs(of: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """(..., i, j): a function of x_i and x_j."""
    return of(x[..., :, None], x[..., None, :])


def _lowest(x: jax.Array, there: jax.Array) -> jax.Array:
    """x, and where nothing is there what has no share of a softmax; finite, so that a list of nothing is, too."""
    return jnp.where(there, x, jnp.finfo(x.dtype).min)


def _mean(x: jax.Array, there: jax.Array, axis: tuple[int, ...]) -> jax.Array:
    return jnp.sum(jnp.where(there, x, 0.0), axis=axis) / jnp.maximum(jnp.sum(there, axis=axis), 1)


def _gains(name: str, relevance: jax.Array, gain: Gain | None) -> jax.Array:
    """0 where nothing is there, as relevance is."""
    known = fitting(name, "relevance", relevance, lambda r: r >= 0, ">= 0", like=relevance)
    return known if gain is None else gain(known)


def _discount(rank: jax.Array) -> jax.Array:
    return math.log(2) / jnp.log1p(rank)


def _ideal(gain: jax.Array) -> jax.Array:
    """DCG of the best order."""
    ranks = jnp.arange(1, gain.shape[-1] + 1, dtype=gain.dtype).reshape((1,) * (gain.ndim - 1) + (-1,))
    return jnp.sum(-jnp.sort(-gain, axis=-1) * _discount(ranks), axis=-1)
