"""Learning to rank whole lists: scores of the items of a list against how relevant each is, one number per list.

    listnet, listmle            the chance of the best first item, and of the best order
    approximate_ndcg            the metric itself, with soft ranks

Items, masks and empty lists: as in `_pairwise_ranking`. Memory is of items a list, of `approximate_ndcg` of items^2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._ranked_lists import Gain, discount, ideal_dcg, known_gains, listed, lowest, pairs
from jnn.metrics import exponential_gain


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
    scores, relevance, there = listed("listnet", scores, relevance, mask)
    target, log_p = (jax.nn.log_softmax(lowest(x, there), axis=-1) for x in (relevance, scores))
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
    scores, relevance, there = listed("listmle", scores, relevance, mask)
    order = jnp.argsort(-jnp.where(there, relevance, -jnp.inf), axis=-1, stable=True)
    best, real = jnp.take_along_axis(lowest(scores, there), order, -1), jnp.take_along_axis(there, order, -1)
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
    scores, relevance, there = listed("approximate_ndcg", scores, relevance, mask)
    temperature = checks.number("approximate_ndcg", "temperature", temperature, lambda t: t > 0, "> 0", like=scores)
    others = pairs(jnp.logical_and, there) & ~jnp.eye(scores.shape[-1], dtype=bool).reshape(
        (1,) * (scores.ndim - 1) + (scores.shape[-1],) * 2
    )
    above = jax.nn.sigmoid(-pairs(jnp.subtract, scores) / temperature)
    rank = 1 + jnp.sum(jnp.where(others, above, 0.0), axis=-1)
    gains = known_gains("approximate_ndcg", relevance, gain)
    ideal = ideal_dcg(gains)
    dcg = jnp.sum(gains * discount(rank), axis=-1)
    return jnp.where(ideal == 0, 0.0, 1 - dcg / jnp.where(ideal == 0, 1.0, ideal))
