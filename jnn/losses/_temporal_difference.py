"""Temporal-difference losses of values, one number per step.

    td_loss(values, rewards, discounts, next_values)            TD(0)
    q_learning_loss(q, actions, rewards, discounts, next_q)     the best next action's value
    double_q_learning_loss(..., selector)                       the same, of an action that another network selects

Discounts are gamma, or 0 where the episode ends. Targets are taken as they are: no gradient goes there. Errors are
Huberized: half a square up to `delta`, linear beyond; `delta=jnp.inf` leaves the square. Laws: float32 at least; an
action out of range is a ValueError where values are known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._regression import huberized
from jnn.losses._returns import discounted
from jnn.precision import wide


def td_loss(
    values: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    next_values: jax.Array,
    *,
    delta: jax.Array | float = jnp.inf,
) -> jax.Array:
    """TD(0) loss: half the squared error of `rewards + discounts * next_values - values`, Huberized by delta.

    See "Learning to Predict by the Methods of Temporal Differences", Sutton, 1988.

    Args:
      values, rewards, discounts, next_values: (...), floating point. Of TD(lambda), rewards are `lambda_returns` and
        discounts 0.
      delta: where errors become linear, above 0.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes differ, or delta <= 0.

    >>> td_loss(jnp.zeros(1), jnp.ones(1), jnp.array([0.5]), jnp.array([2.0]))
    Array([2.], dtype=float32)
    """
    arrays = {"values": values, "rewards": rewards, "discounts": discounts, "next_values": next_values}
    for x in arrays.values():
        checks.floats("td_loss", x, ndim=0)
    checks.same_shape("td_loss", **arrays)
    target = wide(rewards) + discounted(wide(discounts), wide(next_values))
    return huberized("td_loss", wide(values) - jax.lax.stop_gradient(target), delta)


def q_learning_loss(
    q: jax.Array,
    actions: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    next_q: jax.Array,
    *,
    delta: jax.Array | float = 1.0,
) -> jax.Array:
    """Q-learning, DQN's loss: towards the reward and the best next action's value, of a target network.

    See "Human-level control through deep reinforcement learning", Mnih et al., 2015.

    Args:
      q: (..., actions), floating point.
      actions: (...), integers: those taken.
      rewards, discounts: (...), floating point.
      next_q: (..., actions), the target network's of the next state.
      delta: where errors become linear, above 0.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point, or actions not integers.
      ValueError: shapes do not fit, actions known to lie out of range, or delta <= 0.

    >>> q_learning_loss(jnp.zeros((1, 2)), jnp.array([0]), jnp.ones(1), jnp.ones(1), jnp.array([[0.0, 2.0]]))
    Array([2.5], dtype=float32)
    """
    return _q("q_learning_loss", q, actions, rewards, discounts, next_q, next_q, delta)


def double_q_learning_loss(
    q: jax.Array,
    actions: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    next_q: jax.Array,
    selector: jax.Array,
    *,
    delta: jax.Array | float = 1.0,
) -> jax.Array:
    """Double Q-learning: the online network says which next action is best, the target network what it is worth.

    See "Deep Reinforcement Learning with Double Q-learning", van Hasselt, Guez and Silver, 2016.

    Args:
      q, actions, rewards, discounts, next_q, delta: as for `q_learning_loss`.
      selector: (..., actions), the online network's values of the next state.

    Returns:
      (...).

    Raises:
      TypeError, ValueError: as for `q_learning_loss`.

    >>> next_q, selector = jnp.array([[0.5, 2.0]]), jnp.array([[1.0, 0.0]])
    >>> double_q_learning_loss(jnp.zeros((1, 2)), jnp.array([0]), jnp.ones(1), jnp.ones(1), next_q, selector)
    Array([1.], dtype=float32)
    """
    return _q("double_q_learning_loss", q, actions, rewards, discounts, next_q, selector, delta)


def _q(
    name: str,
    q: jax.Array,
    actions: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    next_q: jax.Array,
    selector: jax.Array,
    delta: jax.Array | float,
) -> jax.Array:
    for x in (q, next_q, selector):
        checks.floats(name, x)
    checks.same_shape(name, q=q, next_q=next_q, selector=selector)
    checks.integers(name, actions, name="actions")
    for what, x in (("actions", actions), ("rewards", rewards), ("discounts", discounts)):
        checks.array(name, x, what)
        if x.shape != q.shape[:-1]:
            raise ValueError(f"{name}: expected {what} {q.shape[:-1]}, found {checks.describe(x)}.")
    checks.in_range(name, actions, q.shape[-1], what="actions", of="actions")
    best = _of_action(wide(next_q), jnp.argmax(selector, axis=-1))
    target = wide(rewards) + discounted(wide(discounts), best)
    return huberized(name, _of_action(wide(q), actions) - jax.lax.stop_gradient(target), delta)


def _of_action(q: jax.Array, actions: jax.Array) -> jax.Array:
    """The value of each action; NaN where there is no such action."""
    own = jax.lax.broadcasted_iota(jnp.int32, q.shape, actions.ndim) == actions[..., None].astype(jnp.int32)
    return jnp.where(jnp.any(own, axis=-1), jnp.sum(jnp.where(own, q, 0), axis=-1), jnp.nan)
