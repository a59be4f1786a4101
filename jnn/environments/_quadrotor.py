"""Planar quadrotor: two propellers on a bar fly it to a place and hold it there.

State and observation: x and y in m from the place, the angle in rad, and their velocities.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.environments._environment import Environment, runge_kutta

GRAVITY, MASS, ARM, INERTIA = 9.81, 0.486, 0.25, 0.00383
SECONDS = 0.04  # of a step
FARTHEST = 2.0  # m


def quadrotor() -> Environment:
    """Planar quadrotor: an action (2,) of -1 to 1 gives each propeller none to twice of the thrust that hovers.

    A step is worth 1 / (1 + distance² + angle² + 0.1 (speed² + spin²)), at most 1; it ends two metres off, or on its
    side. Equations and constants are those of Drake's Quadrotor2D, "Underactuated Robotics", Tedrake, 2009; the task,
    Runge-Kutta steps of 0.04 s and the limit of 100 are our own.

    Returns:
      An environment of states (6,).

    >>> env = quadrotor()
    >>> state, reward, terminated = env.step(jnp.zeros(6), jnp.zeros(2), jax.random.key(0))
    >>> state.tolist(), reward.item()  # it hovers
    ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1.0)
    """
    return Environment(_reset, _step, lambda state: state, (1, 1, 0.5, 2, 2, 3), actions=2, bound=1.0, limit=100)


def _reset(key: jax.Array) -> jax.Array:
    widest = jnp.array([1.0, 1.0, 0.3, 0.5, 0.5, 0.5])
    return jax.random.uniform(key, (6,), minval=-1, maxval=1) * widest


def _step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    thrusts = MASS * GRAVITY / 2 * (1 + jnp.clip(action, -1, 1))
    state = runge_kutta(lambda state: _slope(state, thrusts), state, SECONDS)
    square = state**2
    cost = square[:3].sum() + 0.1 * square[3:].sum()
    return state, 1 / (1 + cost), (square[:2].sum() > FARTHEST**2) | (abs(state[2]) > jnp.pi / 2)


def _slope(state: jax.Array, thrusts: jax.Array) -> jax.Array:
    _, _, angle, x_speed, y_speed, spin = state
    left, right = thrusts
    lift = (left + right) / MASS
    gains = (-jnp.sin(angle) * lift, jnp.cos(angle) * lift - GRAVITY, ARM / INERTIA * (right - left))
    return jnp.stack([x_speed, y_speed, spin, *gains])
