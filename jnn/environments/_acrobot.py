"""Acrobot: a double pendulum with a motor in its elbow alone.

State: the upper link's angle in rad from hanging, the lower one's from the upper's, and their velocities. Observation:
cosine and sine of both, and the velocities.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn.environments._environment import Environment, runge_kutta

GRAVITY, MASS, LENGTH, CENTRE, INERTIA = 9.8, 1.0, 1.0, 0.5, 1.0  # of either link
FASTEST = (4 * math.pi, 9 * math.pi)  # rad/s
SECONDS = 0.2  # of a step


def acrobot() -> Environment:
    """Acrobot, a double pendulum: actions 0, 1, 2 are torques of -1, 0 and 1; each step costs 1 until the tip is high.

    High is a link's length above the axis. See "Generalization in Reinforcement Learning: Successful Examples Using
    Sparse Coarse Coding", Sutton, 1996. Equations ("book"), constants, Runge-Kutta steps and the limit of 500 steps are
    those of Gymnasium's Acrobot-v1.

    Returns:
      An environment of states (4,) and three actions. A good return is above -100.

    >>> env = acrobot()
    >>> state, reward, terminated = env.step(jnp.zeros(4), jnp.int32(1), jax.random.key(0))
    >>> bool((abs(state) < 1e-6).all()), reward.item()  # it hangs
    (True, -1.0)
    """
    return Environment(_reset, _step, _observe, (1, 1, 1, 1, 3, 6), actions=3, bound=None, limit=500)


def _reset(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (4,), minval=-0.1, maxval=0.1)


def _observe(state: jax.Array) -> jax.Array:
    upper, lower, *speeds = state
    return jnp.stack([jnp.cos(upper), jnp.sin(upper), jnp.cos(lower), jnp.sin(lower), *speeds])


def _step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    state = runge_kutta(lambda state: _slope(state, action - 1), state, SECONDS)
    upper, lower = (state[:2] + jnp.pi) % (2 * jnp.pi) - jnp.pi
    fastest = jnp.array(FASTEST)
    state = jnp.stack([upper, lower, *jnp.clip(state[2:], -fastest, fastest)])
    high = -jnp.cos(upper) - jnp.cos(upper + lower) > 1
    return state, jnp.where(high, 0.0, -1.0), high


def _slope(state: jax.Array, torque: jax.Array) -> jax.Array:
    """The equations of motion of "Reinforcement Learning: An Introduction", Sutton and Barto, 1998, 11.3."""
    upper, lower, upper_speed, lower_speed = state
    sin, cos = jnp.sin(lower), jnp.cos(lower)
    d1 = MASS * CENTRE**2 + MASS * (LENGTH**2 + CENTRE**2 + 2 * LENGTH * CENTRE * cos) + 2 * INERTIA
    d2 = MASS * (CENTRE**2 + LENGTH * CENTRE * cos) + INERTIA
    phi2 = MASS * CENTRE * GRAVITY * jnp.sin(upper + lower)
    phi1 = -MASS * LENGTH * CENTRE * (lower_speed**2 + 2 * lower_speed * upper_speed) * sin
    phi1 += (MASS * CENTRE + MASS * LENGTH) * GRAVITY * jnp.sin(upper) + phi2
    pull = torque + d2 / d1 * phi1 - MASS * LENGTH * CENTRE * upper_speed**2 * sin - phi2
    lower_gain = pull / (MASS * CENTRE**2 + INERTIA - d2**2 / d1)
    return jnp.stack([upper_speed, lower_speed, -(d2 * lower_gain + phi1) / d1, lower_gain])
