"""Cart and pole: a pole on a cart is kept upright by pushes to the left and the right.

State and observation: position in m, velocity, angle in rad from upright, angular velocity.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn.environments._environment import Environment

GRAVITY = 9.8
CART, POLE = 1.0, 0.1  # kg
HALF = 0.5  # of the pole's length, m
FORCE = 10.0  # N
SECONDS = 0.02  # of a step
WIDEST, STEEPEST = 2.4, 12 * math.pi / 180


def cart_pole() -> Environment:
    """Cart-pole: action 0 pushes to the left, 1 to the right; each step is worth 1 until the pole or the cart is lost.

    See "Neuronlike Adaptive Elements That Can Solve Difficult Learning Control Problems", Barto, Sutton and Anderson,
    1983. Constants, Euler steps and the limit of 500 steps are those of Gymnasium's CartPole-v1.

    Returns:
      An environment of states (4,) and two actions. The best return is 500.

    >>> env = cart_pole()
    >>> state, reward, terminated = env.step(jnp.zeros(4), jnp.int32(1), jax.random.key(0))
    >>> [round(x, 3) for x in state.tolist()], reward.item(), terminated.item()
    ([0.0, 0.195, 0.0, -0.293], 1.0, False)
    """
    return Environment(_reset, _step, lambda state: state, (2.4, 2.0, 0.2, 2.0), actions=2, bound=None, limit=500)


def _reset(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)


def _step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """See "Correct equations for the dynamics of the cart-pole system", Florian, 2007, without friction."""
    _, velocity, angle, spin = state
    mass, sin, cos = CART + POLE, jnp.sin(angle), jnp.cos(angle)
    push = (jnp.where(action == 1, FORCE, -FORCE) + POLE * HALF * spin**2 * sin) / mass
    angular = (GRAVITY * sin - cos * push) / (HALF * (4 / 3 - POLE * cos**2 / mass))
    linear = push - POLE * HALF * angular * cos / mass
    state = state + SECONDS * jnp.stack([velocity, linear, spin, angular])
    return state, jnp.ones(()), (abs(state[0]) > WIDEST) | (abs(state[2]) > STEEPEST)
