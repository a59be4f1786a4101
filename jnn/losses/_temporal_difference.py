"""Temporal-difference losses of values, and of distributions of values, one number per step.

    td_loss(values, rewards, discounts, next_values)                    TD(0)
    q_learning, double_q_learning(q, actions, rewards, discounts, ...)  the best next action's value
    categorical_projection(support, probabilities, onto)                C51's targets
    quantile_regression(quantiles, targets)                             QR-DQN

Discounts are gamma, or 0 where the episode ends. Targets are taken as they are: no gradient goes there. Errors are
Huberized: half a square up to `delta`, linear beyond; `delta=jnp.inf` leaves the square. Laws: float32 at least; an
action out of range is a ValueError where values are known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._embeddings import positive
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
    target = wide(rewards) + wide(discounts) * wide(next_values)
    return _huber("td_loss", wide(values) - jax.lax.stop_gradient(target), delta)


def q_learning(
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

    >>> q_learning(jnp.zeros((1, 2)), jnp.array([0]), jnp.ones(1), jnp.ones(1), jnp.array([[0.0, 2.0]]))
    Array([2.5], dtype=float32)
    """
    return _q("q_learning", q, actions, rewards, discounts, next_q, next_q, delta)


def double_q_learning(
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
      q, actions, rewards, discounts, next_q, delta: as for `q_learning`.
      selector: (..., actions), the online network's values of the next state.

    Returns:
      (...).

    Raises:
      TypeError, ValueError: as for `q_learning`.

    >>> next_q, selector = jnp.array([[0.5, 2.0]]), jnp.array([[1.0, 0.0]])
    >>> double_q_learning(jnp.zeros((1, 2)), jnp.array([0]), jnp.ones(1), jnp.ones(1), next_q, selector)
    Array([1.], dtype=float32)
    """
    return _q("double_q_learning", q, actions, rewards, discounts, next_q, selector, delta)


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
    target = wide(rewards) + wide(discounts) * best
    return _huber(name, _of_action(wide(q), actions) - jax.lax.stop_gradient(target), delta)


def _of_action(q: jax.Array, actions: jax.Array) -> jax.Array:
    """The value of each action; NaN where there is no such action."""
    own = jax.lax.broadcasted_iota(jnp.int32, q.shape, actions.ndim) == actions[..., None].astype(jnp.int32)
    return jnp.where(jnp.any(own, axis=-1), jnp.sum(jnp.where(own, q, 0), axis=-1), jnp.nan)


def _huber(name: str, error: jax.Array, delta: jax.Array | float) -> jax.Array:
    size, delta = jnp.abs(error), positive(name, "delta", delta, error)
    near = jnp.minimum(size, delta)
    return near * (size - 0.5 * near)  # without delta as a factor: it may be infinite


def categorical_projection(support: jax.Array, probabilities: jax.Array, onto: jax.Array) -> jax.Array:
    """Categorical projection, C51's: a distribution over some values, shared between the nearest of other values.

    The loss is `soft_cross_entropy(logits, projection)`, with `support = r + discount * onto` of each step. See "A
    Distributional Perspective on Reinforcement Learning", Bellemare, Dabney and Munos, 2017.

    Args:
      support: (..., k), where probabilities lie; beyond the ends of `onto` they count as at these.
      probabilities: (..., k), floating point.
      onto: (m,), growing, two or more.

    Returns:
      (..., m), without gradient; it has the sum, and within the ends the mean, of the given distribution.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit.

    >>> categorical_projection(jnp.array([0.25, 9.0]), jnp.array([0.5, 0.5]), jnp.array([0.0, 1.0, 2.0]))
    Array([0.375, 0.125, 0.5  ], dtype=float32)
    """
    for x in (support, probabilities, onto):
        checks.floats("categorical_projection", x)
    checks.same_shape("categorical_projection", support=support, probabilities=probabilities)
    if onto.ndim != 1 or onto.size < 2:
        found = checks.describe(onto)
        raise ValueError(f"categorical_projection: expected two values or more to project onto, (m,), found {found}.")
    atoms = wide(onto)
    places = jnp.clip(wide(support), atoms[0], atoms[-1])[..., None, :]
    column = lambda x: x.reshape((1,) * (places.ndim - 2) + (-1, 1))
    gaps = jnp.diff(atoms)
    # a hat over each atom, down to 0 at its neighbours; the ends have none on one side, and nothing lies there
    up, down = jnp.concatenate([gaps[:1], gaps]), jnp.concatenate([gaps, gaps[-1:]])
    offset = places - column(atoms)
    shares = jnp.clip(1 - jnp.where(offset < 0, -offset / column(up), offset / column(down)), 0, 1)
    return jax.lax.stop_gradient(jnp.einsum("...mk,...k->...m", shares, wide(probabilities)))


def quantile_regression(quantiles: jax.Array, targets: jax.Array, *, delta: jax.Array | float = 1.0) -> jax.Array:
    """Quantile regression, QR-DQN's loss: Huberized errors, those below a quantile and above it weighed by its level.

    Quantile i of n has the level (i + 1/2) / n. The mean over targets, the sum over quantiles. See "Distributional
    Reinforcement Learning with Quantile Regression", Dabney et al., 2018.

    Args:
      quantiles: (..., n), floating point.
      targets: (..., m), samples or quantiles: `r + discount * next_quantiles`.
      delta: where errors become linear, above 0; kappa in the paper. Costs are divided by it.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit, or delta <= 0.

    >>> quantile_regression(jnp.array([[0.0]]), jnp.array([[3.0]]))
    Array([1.25], dtype=float32)
    """
    checks.floats("quantile_regression", quantiles)
    checks.floats("quantile_regression", targets)
    if quantiles.shape[:-1] != targets.shape[:-1]:
        found = f"{checks.describe(quantiles)} and {checks.describe(targets)}"
        raise ValueError(f"quantile_regression: expected equal leading axes, found {found}.")
    error = jax.lax.stop_gradient(wide(targets))[..., None, :] - wide(quantiles)[..., :, None]
    n = quantiles.shape[-1]
    level = ((jnp.arange(n, dtype=error.dtype) + 0.5) / n).reshape((1,) * (error.ndim - 2) + (n, 1))
    weight = jnp.where(error < 0, 1 - level, level)
    costs = weight * _huber("quantile_regression", error, delta) / delta
    return jnp.sum(jnp.mean(costs, axis=-1), axis=-1)
