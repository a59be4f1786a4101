"""Group-relative policy losses: several answers to one question are each other's baseline, and no critic is trained.

    group_advantages(rewards)                                      of each answer, in deviations of its group
    grpo_loss(log_probs, old, reference, advantages)       PPO's surrogate, and what departing costs

Rewards, advantages, and what is of other policies have no gradient. Laws: float32 at least; finite, with gradients,
wherever differences of log-probabilities, and squares of rewards, are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import alike, positive
from jnn.losses._policy import WIDEST, ppo_loss
from jnn.precision import wide


def group_advantages(rewards: jax.Array, *, epsilon: jax.Array | float = 1e-4) -> jax.Array:
    """Group-relative advantages: rewards less the mean of their group, divided by its standard deviation.

    See "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models", Shao et al., 2024. A group
    whose answers are all worth the same has advantages of 0.

    Args:
      rewards: (..., group), of the answers to one question, floating point.
      epsilon: added to the standard deviation, above 0.

    Returns:
      (..., group).

    Raises:
      TypeError: rewards are not floating point.
      ValueError: epsilon <= 0.

    >>> group_advantages(jnp.array([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])).round(2).tolist()
    [[-1.0, -1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    checks.floats("group_advantages", rewards)
    epsilon = positive("group_advantages", "epsilon", epsilon, rewards)
    rewards = jax.lax.stop_gradient(wide(rewards))
    apart = rewards - rewards.mean(-1, keepdims=True)
    return apart / (jnp.sqrt(jnp.square(apart).mean(-1, keepdims=True)) + epsilon)


def grpo_loss(
    log_probs: jax.Array,
    old: jax.Array,
    reference: jax.Array,
    advantages: jax.Array,
    *,
    clip: jax.Array | float = 0.2,
    beta: jax.Array | float = 0.04,
) -> jax.Array:
    """GRPO, group relative policy optimization: `ppo_loss`, and beta times KL(policy || reference), of each token.

    The divergence is estimated by r - log r - 1 with r = p_reference / p, which is never negative. A mean over answers
    of their tokens' means has weights of 1 / length. See "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in
    Open Language Models", Shao et al., 2024; for the estimate "Approximating KL Divergence", Schulman, 2020.

    Args:
      log_probs: (...), of the tokens drawn, floating point.
      old: the same shape: their log-probabilities when they were drawn.
      reference: the same shape: those of the model that shall not be left far behind.
      advantages: the same shape, such as an answer's `group_advantages` for each of its tokens.
      clip: as in `ppo_loss`.
      beta: what departing from the reference costs, 0 or more.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes differ, clip <= 0 or beta < 0.

    >>> grpo_loss(*jnp.array([[-1.0], [-1.0], [-1.0], [0.5]]))
    Array([-0.5], dtype=float32)
    """
    given = {"log_probs": log_probs, "old": old, "reference": reference, "advantages": advantages}
    log_p, _, of_reference, _ = alike("grpo_loss", **given)
    beta = checks.number("grpo_loss", "beta", beta, lambda b: b >= 0, ">= 0", like=log_p)
    gap = jax.lax.stop_gradient(of_reference) - log_p
    kl = jnp.expm1(jnp.clip(gap, -WIDEST, WIDEST)) - gap
    return ppo_loss(log_probs, old, advantages, clip=clip) + beta * kl
