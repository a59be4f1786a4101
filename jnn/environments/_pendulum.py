"""Pendulum: swung up and held by a torque that is too weak to lift it at once.

State: angle in rad from upright, and angular velocity in rad/s. Observation: the angle's cosine and sine, the velocity.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.environments._environment import Environment

GRAVITY, MASS, LENGTH = 10.0, 1.0, 1.0
FASTEST = 8.0  # rad/s
TORQUE = 2.0  # N m
SECONDS = 0.05  # of a step


def pendulum() -> Environment:
    """Pendulum swing-up: an action (1,) is a torque of -2 to 2; a step costs angle² + 0.1 speed² + 0.001 torque².

    Constants, steps and the limit of 200 steps are those of Gymnasium's Pendulum-v1. Nothing ends it but the limit.

    Returns:
      An environment of states (2,). A good return is above -200; of no torque it is about -1200.

    >>> env = pendulum()
    >>> state, reward, terminated = env.step(jnp.zeros(2), jnp.ones(1), jax.random.key(0))
    >>> [round(x, 4) for x in state.tolist()], round(reward.item(), 4)
    ([0.0075, 0.15], -0.001)
    """
    return Environment(_reset, _step, _observe, (1.0, 1.0, 8.0), actions=1, bound=TORQUE, limit=200)


def _reset(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (2,), minval=-1, maxval=1) * jnp.array([jnp.pi, 1.0])


def _observe(state: jax.Array) -> jax.Array:
    angle, speed = state
    return jnp.stack([jnp.cos(angle), jnp.sin(angle), speed])


def _step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    angle, speed = state
    torque = jnp.clip(action[0], -TORQUE, TORQUE)
    from_upright = (angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
    cost = from_upright**2 + 0.1 * speed**2 + 0.001 * torque**2
    gain = 3 * GRAVITY / (2 * LENGTH) * jnp.sin(angle) + 3 / (MASS * LENGTH**2) * torque
    speed = jnp.clip(speed + gain * SECONDS, -FASTEST, FASTEST)
    return jnp.stack([angle + speed * SECONDS, speed]), -cost, jnp.zeros((), bool)
