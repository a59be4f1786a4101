"""Mountain car: too weak for the hill, it has to gain speed on the other side first.

State and observation: position, and velocity a step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.environments._environment import Environment

LEFTMOST, RIGHTMOST, GOAL = -1.2, 0.6, 0.5
FASTEST, FORCE, GRAVITY = 0.07, 0.001, 0.0025


def mountain_car() -> Environment:
    """Mountain car: actions 0, 1, 2 push to the left, not at all, to the right; each step costs 1 until the goal.

    See "Efficient Memory-based Learning for Robot Control", Moore, 1990. Constants and the limit of 200 steps are those
    of Gymnasium's MountainCar-v0.

    Returns:
      An environment of states (2,) and three actions. A good return is above -120; the goal is never met by chance.

    >>> env = mountain_car()
    >>> state, reward, terminated = env.step(jnp.array([-0.5, 0.0]), jnp.int32(2), jax.random.key(0))
    >>> [round(x, 4) for x in state.tolist()], reward.item()
    ([-0.4992, 0.0008], -1.0)
    """
    return Environment(_reset, _step, lambda state: state, (0.5, 0.03), actions=3, bound=None, limit=200)


def _reset(key: jax.Array) -> jax.Array:
    return jnp.stack([jax.random.uniform(key, minval=-0.6, maxval=-0.4), jnp.zeros(())])


def _step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    position, velocity = state
    velocity = velocity + (action - 1) * FORCE - jnp.cos(3 * position) * GRAVITY
    velocity = jnp.clip(velocity, -FASTEST, FASTEST)
    position = jnp.clip(position + velocity, LEFTMOST, RIGHTMOST)
    velocity = jnp.where((position == LEFTMOST) & (velocity < 0), 0.0, velocity)
    return jnp.stack([position, velocity]), -jnp.ones(()), (position >= GOAL) & (velocity >= 0)
