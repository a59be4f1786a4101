"""What losses of ranked lists share: items that are there, pairs of them, gains and discounts of NDCG."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting, masked

Gain = Callable[[jax.Array], jax.Array]


def listed(
    name: str, scores: jax.Array, relevance: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Scores and relevances, 0 where they are padding, and where they are not."""
    scores, relevance = checks.pair(name, scores, relevance)
    there = masked(name, mask, scores.shape)
    return jnp.where(there, scores, 0.0), jnp.where(there, relevance, 0.0), there


def pairs(of: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """(..., i, j): a function of x_i and x_j."""
    return of(x[..., :, None], x[..., None, :])


def lowest(x: jax.Array, there: jax.Array) -> jax.Array:
    """x, and where nothing is there what has no share of a softmax; finite, so that a list of nothing is, too."""
    return jnp.where(there, x, jnp.finfo(x.dtype).min)


def mean_of(x: jax.Array, there: jax.Array, axis: tuple[int, ...]) -> jax.Array:
    """The mean over what is there, 0 of nothing."""
    return jnp.sum(jnp.where(there, x, 0.0), axis=axis) / jnp.maximum(jnp.sum(there, axis=axis), 1)


def known_gains(name: str, relevance: jax.Array, gain: Gain | None) -> jax.Array:
    """0 where nothing is there, as relevance is."""
    known = fitting(name, "relevance", relevance, lambda r: r >= 0, ">= 0", like=relevance)
    return known if gain is None else gain(known)


def discount(rank: jax.Array) -> jax.Array:
    """What a gain at a rank, 1 for the first, is multiplied by."""
    return math.log(2) / jnp.log1p(rank)


def ideal_dcg(gain: jax.Array) -> jax.Array:
    """DCG of the best order."""
    ranks = jnp.arange(1, gain.shape[-1] + 1, dtype=gain.dtype).reshape((1,) * (gain.ndim - 1) + (-1,))
    return jnp.sum(-jnp.sort(-gain, axis=-1) * discount(ranks), axis=-1)
