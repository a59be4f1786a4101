"""Returns and advantages of reinforcement learning: targets, computed backwards over time, the last axis.

    lambda_returns(rewards, discounts, values)              TD(lambda); 1 is Monte Carlo, 0 is TD(0)
    generalized_advantages(rewards, discounts, values)      GAE: the same, less the values
    vtrace(rewards, discounts, values, log_ratios)          off policy

Rewards and discounts are (..., t); discount t is gamma, or 0 where the episode ends with reward t, so that no sum goes
beyond an end, whatever is there. Values are (..., t + 1): of the states that rewards t follow, and of the last state.
Laws: float32 at least; pure and differentiable: losses take them as they are (stop-gradient).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import positive
from jnn.precision import wide


def lambda_returns(
    rewards: jax.Array, discounts: jax.Array, values: jax.Array, *, decay: jax.Array | float = 0.95
) -> jax.Array:
    """Lambda returns, the targets of TD(lambda): `G[t] = r[t] + d[t] ((1 - decay) v[t+1] + decay G[t+1])`.

    See "Learning to Predict by the Methods of Temporal Differences", Sutton, 1988.

    Args:
      rewards: (..., t), floating point.
      discounts: the same shape, 0 where an episode ends.
      values: (..., t + 1), of the states.
      decay: lambda, in [0, 1].

    Returns:
      (..., t).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit, or decay outside [0, 1].

    >>> lambda_returns(jnp.ones(3), jnp.array([0.5, 0.5, 0.0]), jnp.zeros(4), decay=1.0)
    Array([1.75, 1.5 , 1.  ], dtype=float32)
    """
    rewards, discounts, values = _check("lambda_returns", rewards, discounts, values)
    return _advantages("lambda_returns", rewards, discounts, values, decay) + values[..., :-1]


def generalized_advantages(
    rewards: jax.Array, discounts: jax.Array, values: jax.Array, *, decay: jax.Array | float = 0.95
) -> jax.Array:
    """GAE, generalized advantage estimation: the sum of coming TD errors, each discounted and decayed.

    See "High-Dimensional Continuous Control Using Generalized Advantage Estimation", Schulman et al., 2016.

    Args:
      rewards, discounts, values, decay: as for `lambda_returns`.

    Returns:
      (..., t): `lambda_returns(...) - values[..., :-1]`.

    Raises:
      TypeError, ValueError: as for `lambda_returns`.

    >>> generalized_advantages(jnp.ones(3), jnp.array([0.5, 0.5, 0.0]), jnp.ones(4), decay=1.0)
    Array([0.75, 0.5 , 0.  ], dtype=float32)
    """
    return _advantages("generalized_advantages", *_check("generalized_advantages", rewards, discounts, values), decay)


def vtrace(
    rewards: jax.Array,
    discounts: jax.Array,
    values: jax.Array,
    log_ratios: jax.Array,
    *,
    decay: jax.Array | float = 1.0,
    most: jax.Array | float = 1.0,
    most_trace: jax.Array | float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """V-trace: targets of values, and advantages, from steps that another policy made.

    See "IMPALA: Scalable Distributed Deep-RL with Importance Weighted Actor-Learner Architectures", Espeholt et al.,
    2018.

    Args:
      rewards, discounts, values: as for `lambda_returns`.
      log_ratios: (..., t), log(policy / behaviour) of the actions.
      decay: lambda, in [0, 1].
      most: what ratios are cut at where errors are weighed: rho.
      most_trace: what they are cut at where errors are traced back: c, at most rho.

    Returns:
      Targets (..., t), and the policy gradient's advantages (..., t): `rho (r + d target[t+1] - v)`.

    Raises:
      TypeError, ValueError: as for `lambda_returns`, or a cut is not above 0.

    >>> targets, advantages = vtrace(jnp.ones(2), jnp.array([0.5, 0.0]), jnp.zeros(3), jnp.zeros(2))
    >>> targets.tolist(), advantages.tolist()
    ([1.5, 1.0], [1.5, 1.0])
    """
    rewards, discounts, values = _check("vtrace", rewards, discounts, values)
    checks.floats("vtrace", log_ratios)
    checks.same_shape("vtrace", rewards=rewards, log_ratios=log_ratios)
    cuts = [positive("vtrace", name, cut, rewards) for name, cut in (("most", most), ("most_trace", most_trace))]
    decay = _unit_interval("vtrace", decay, rewards)
    rho, c = (jnp.exp(jnp.minimum(wide(log_ratios), jnp.log(jnp.asarray(cut, rewards.dtype)))) for cut in cuts)
    now, after = values[..., :-1], values[..., 1:]
    targets = now + _backwards(rho * (rewards + discounted(discounts, after) - now), discounts * decay * c)
    coming = jnp.concatenate([targets[..., 1:], values[..., -1:]], axis=-1)
    return targets, rho * (rewards + discounted(discounts, coming) - now)


def discounted(discounts: jax.Array, values: jax.Array) -> jax.Array:
    """Values to come, at a discount; 0 beyond an end, where the discount is 0, whatever they hold."""
    return jnp.where(discounts == 0, 0.0, discounts * values)


def _advantages(
    name: str, rewards: jax.Array, discounts: jax.Array, values: jax.Array, decay: jax.Array | float
) -> jax.Array:
    errors = rewards + discounted(discounts, values[..., 1:]) - values[..., :-1]
    return _backwards(errors, discounts * _unit_interval(name, decay, rewards))


def _backwards(x: jax.Array, factors: jax.Array) -> jax.Array:
    """`y[t] = x[t] + factors[t] y[t + 1]` along the last axis, 0 beyond the end."""

    def step(after: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        y = now[0] + discounted(now[1], after)
        return y, y

    in_time = (jnp.moveaxis(x, -1, 0), jnp.moveaxis(factors, -1, 0))
    _, y = jax.lax.scan(step, jnp.zeros_like(in_time[0][0]), in_time, reverse=True)
    return jnp.moveaxis(y, 0, -1)


def _check(name: str, *arrays: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    rewards, discounts, values = arrays
    for x in arrays:
        checks.floats(name, x)
    checks.same_shape(name, rewards=rewards, discounts=discounts)
    if values.shape != (*rewards.shape[:-1], rewards.shape[-1] + 1):
        wanted = (*rewards.shape[:-1], rewards.shape[-1] + 1)
        raise ValueError(f"{name}: expected values {wanted}, the last state's too, found {checks.describe(values)}.")
    return wide(rewards), wide(discounts), wide(values)


def _unit_interval(name: str, decay: jax.Array | float, like: jax.Array) -> jax.Array | float:
    in_range = lambda x: (x >= 0) & (x <= 1)
    number: jax.Array | float = checks.number(name, "decay", decay, in_range, "in [0, 1]", like=like)
    return number
