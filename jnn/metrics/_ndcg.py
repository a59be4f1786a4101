"""NDCG: rankings of items by how relevant each of them is, from nothing to much. Laws: as in `_ranked_items`."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn.metrics._ranked_items import first, ranked
from jnn.metrics._sums import Mean, ratio, total
from jnn.precision import over_last_axes

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
    gains, weight = ranked("ndcg", scores, relevance, weight, k, mask)
    gains = gains if gain is None else gain(gains)
    ideal = -jnp.sort(-gains, axis=-1)
    discount = 1 / jnp.log2(jnp.arange(gains.shape[-1], dtype=gains.dtype) + 2)
    sums = [jnp.sum(first(x, k) * over_last_axes(first(discount, k), gains), -1) for x in (gains, ideal)]
    return Mean(total(ratio(*sums, empty=0.0), weight), jnp.sum(weight))


def exponential_gain(relevance: jax.Array) -> jax.Array:
    """Exponential gain of NDCG: `2**relevance - 1`.

    See "Learning to Rank using Gradient Descent", Burges et al., 2005.

    >>> exponential_gain(jnp.array([0.0, 1.0, 3.0])).round(4).tolist()
    [0.0, 1.0, 7.0]
    """
    return jnp.expm1(relevance * math.log(2))
