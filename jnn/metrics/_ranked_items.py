"""Items of a query in the order of their scores: what metrics of rankings share.

Laws: of equal scores the first item is the higher; a masked item is not there; a query without a relevant item is left
out, as there is nothing to be found.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import spread
from jnn.precision import wide


def first(x: jax.Array, k: int | None) -> jax.Array:
    """The first k, or all."""
    return x[..., :k]


def hits(
    name: str,
    scores: jax.Array,
    relevance: jax.Array,
    weight: jax.Array | None,
    k: int | None,
    mask: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """1 for each relevant item and 0 for the others, from the first to the last, and the weight of each query."""
    gains, weight = ranked(name, scores, relevance, weight, k, mask)
    return (gains > 0).astype(gains.dtype), weight


def ranked(
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
