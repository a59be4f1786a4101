"""Policy losses of reinforcement learning, one number per action taken.

    policy_gradient_loss(log_probs, advantages)      REINFORCE; with a baseline, advantages are returns less it
    ppo_loss(log_probs, old, advantages)             proximal: no gain beyond a ratio of 1 + clip
    clipped_value_loss(values, old, returns)                 PPO's loss of the critic
    categorical_entropy(logits)                              a bonus: `loss - 0.01 * categorical_entropy(logits)`

Advantages, returns and what is old are taken as they are: no gradient goes there. Laws: float32 at least.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import alike, positive
from jnn.precision import wide

WIDEST = 60.0  # of a log-ratio: exp of it, times an advantage, fits into float32


def policy_gradient_loss(log_probs: jax.Array, advantages: jax.Array) -> jax.Array:
    """REINFORCE, the policy gradient's loss: minus the log-probability of an action, times what it was worth.

    See "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", Williams, 1992.

    Args:
      log_probs: (...), of the actions taken, floating point.
      advantages: the same shape: returns, less a baseline that does not depend on the action.

    Returns:
      (...).

    Raises:
      TypeError: log-probabilities or advantages are not floating point.
      ValueError: shapes differ.

    >>> policy_gradient_loss(jnp.array([-0.5]), jnp.array([2.0]))
    Array([1.], dtype=float32)
    """
    log_p, gain = alike("policy_gradient_loss", log_probs=log_probs, advantages=advantages)
    return -log_p * jax.lax.stop_gradient(gain)


def ppo_loss(
    log_probs: jax.Array, old: jax.Array, advantages: jax.Array, *, clip: jax.Array | float = 0.2
) -> jax.Array:
    """PPO, the clipped surrogate: `-min(ratio * advantage, clip(ratio, 1 - clip, 1 + clip) * advantage)`.

    See "Proximal Policy Optimization Algorithms", Schulman et al., 2017. Ratios of probabilities beyond exp(60) count
    as that, without gradient.

    Args:
      log_probs: (...), of the actions taken, floating point.
      old: the same shape: their log-probabilities when they were taken.
      advantages: the same shape.
      clip: above 0.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes differ, or clip <= 0.

    >>> ppo_loss(jnp.log(jnp.array([2.0, 2.0])), jnp.zeros(2), jnp.array([1.0, -1.0]))
    Array([-1.2,  2. ], dtype=float32)
    """
    log_p, old, gain = alike("ppo_loss", log_probs=log_probs, old=old, advantages=advantages)
    clip, gain = positive("ppo_loss", "clip", clip, log_p), jax.lax.stop_gradient(gain)
    ratio = jnp.exp(jnp.clip(log_p - jax.lax.stop_gradient(old), -WIDEST, WIDEST))
    return -jnp.minimum(ratio * gain, jnp.clip(ratio, 1 - clip, 1 + clip) * gain)


def clipped_value_loss(
    values: jax.Array, old: jax.Array, returns: jax.Array, *, clip: jax.Array | float = 0.2
) -> jax.Array:
    """PPO's clipped value loss: half the squared error, or that of a value no further than `clip` from the old one.

    The greater of the two counts. See "Implementation Matters in Deep Policy Gradients", Engstrom et al., 2020.

    Args:
      values: (...), floating point.
      old: the same shape: the values when the actions were taken.
      returns: the same shape, such as `lambda_returns`.
      clip: above 0.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes differ, or clip <= 0.

    >>> clipped_value_loss(jnp.array([2.0]), jnp.array([0.0]), jnp.array([2.0]), clip=1.0)
    Array([0.5], dtype=float32)
    """
    values, old, returns = alike("clipped_value_loss", values=values, old=old, returns=returns)
    clip, old, returns = (
        positive("clipped_value_loss", "clip", clip, values),
        *map(jax.lax.stop_gradient, (old, returns)),
    )
    near = old + jnp.clip(values - old, -clip, clip)
    return 0.5 * jnp.maximum(jnp.square(values - returns), jnp.square(near - returns))


def categorical_entropy(logits: jax.Array) -> jax.Array:
    """Entropy of softmax(logits), in nats; an entropy bonus is minus this, times its weight.

    See "Asynchronous Methods for Deep Reinforcement Learning", Mnih et al., 2016.

    Args:
      logits: (..., actions), floating point; -inf for actions that are not there.

    Returns:
      (...).

    Raises:
      TypeError: logits are not floating point.

    >>> categorical_entropy(jnp.array([[0.0, 0.0, -jnp.inf]]))
    Array([0.6931472], dtype=float32)
    """
    checks.floats("categorical_entropy", logits)
    log_p = jax.nn.log_softmax(wide(logits), axis=-1)
    there = log_p > -jnp.inf
    return -jnp.sum(jnp.exp(log_p) * jnp.where(there, log_p, 0), axis=-1)
