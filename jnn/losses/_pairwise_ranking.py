"""Learning to rank pairs: scores of the items of a list against how relevant each is, one number per list.

    ranknet, lambdarank                 pairs of a list's items, the latter weighed by what a swap changes in NDCG
    margin_ranking_loss(higher, lower)  pairs that are given as such

Items are on the last axis; `mask` (of the scores' shape) is 0 or False for padded ones, which nobody meets, whatever
they hold. A list without items, or where all are as relevant, has no pairs: it costs 0. Float32 at least. Pairs take
memory of items^2 a list.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._ranked_lists import Gain, discount, ideal_dcg, known_gains, listed, mean_of, pairs
from jnn.metrics import exponential_gain


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
    scores, relevance, there = listed("ranknet", scores, relevance, mask)
    better = pairs(jnp.greater, relevance) & pairs(jnp.logical_and, there)
    costs = jax.nn.softplus(-pairs(jnp.subtract, scores))
    return mean_of(costs, better, (-2, -1))


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
    scores, relevance, there = listed("lambdarank", scores, relevance, mask)
    better = pairs(jnp.greater, relevance) & pairs(jnp.logical_and, there)
    rank = 1 + jnp.argsort(jnp.argsort(-jnp.where(there, scores, -jnp.inf), axis=-1), axis=-1).astype(scores.dtype)
    gains = known_gains("lambdarank", relevance, gain)
    swap = jnp.abs(pairs(jnp.subtract, gains) * pairs(jnp.subtract, discount(rank)))
    ideal = ideal_dcg(gains)[..., None, None]
    costs = jax.lax.stop_gradient(swap) * jax.nn.softplus(-pairs(jnp.subtract, scores))
    return jnp.sum(jnp.where(better, costs / jnp.where(ideal == 0, 1.0, ideal), 0.0), axis=(-2, -1))


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
