"""The rule of speculative sampling: which drafted tokens stay, and what is drawn in place of the first that does not.

    acceptance(target, draft) -> probability that a drafted token stays
    residual(target, draft) -> distribution of what takes the place of one that does not
    verify(key, drafted, draft, target) -> (count, token)

Axes: `v` vocab, `k` drafted tokens.

Law: a drafted token that stays, or what takes its place, has the target's distribution, whatever the draft's is:
`draft * acceptance + (1 - sum(draft * acceptance)) * residual = target`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def acceptance(target: jax.Array, draft: jax.Array) -> jax.Array:
    """Acceptance: the probability with which each token stays, if it was drafted: (..., v) -> (..., v).

    See "Fast Inference from Transformers via Speculative Decoding", Leviathan, Kalman and Matias, 2023.

    >>> acceptance(jnp.array([0.25, 0.75]), jnp.array([0.5, 0.5])).tolist()
    [0.5, 1.0]
    """
    return jnp.where(target >= draft, 1, target / jnp.where(draft > 0, draft, 1))


def residual(target: jax.Array, draft: jax.Array) -> jax.Array:
    """Residual distribution: where the target has more than the draft: (..., v) -> (..., v).

    >>> residual(jnp.array([0.25, 0.75]), jnp.array([0.5, 0.5])).tolist()
    [0.0, 1.0]
    """
    more = jnp.maximum(target - draft, 0)
    total = more.sum(-1, keepdims=True)
    return jnp.where(total > 0, more / jnp.where(total > 0, total, 1), target)  # of equal ones none is ever asked for


def verify(key: jax.Array, drafted: jax.Array, draft: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Speculative sampling: how many drafted tokens stay, and the token behind them.

    Args:
      key: a PRNG key.
      drafted: (..., k), integers.
      draft: (..., k, v), the probabilities they were drawn by.
      target: (..., k + 1, v), those of the model, at each of them and behind the last.

    Returns:
      (...) and (...), int32.

    >>> same = jnp.full((3, 4), 0.25)
    >>> verify(jax.random.key(0), jnp.array([1, 2, 3]), same, jnp.full((4, 4), 0.25))[0].item()
    3
    """
    accepting, drawing = jax.random.split(key)
    k = drafted.shape[-1]
    chance = jnp.take_along_axis(acceptance(target[..., :k, :], draft), drafted[..., None], -1)[..., 0]
    stays = jax.random.uniform(accepting, chance.shape) < chance
    count = jnp.cumprod(stays.astype(jnp.int32), -1).sum(-1, dtype=jnp.int32)
    none = jnp.zeros_like(target[..., :1, :])  # behind the last one nothing was drafted: the residual is the target
    instead = residual(target, jnp.concatenate([draft, none], -2))
    chosen = jnp.take_along_axis(instead, count[..., None, None], -2)[..., 0, :]
    return count, jax.random.categorical(drawing, jnp.log(chosen)).astype(jnp.int32)
