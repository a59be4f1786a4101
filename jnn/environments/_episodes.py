"""Episodes in batches: many copies of an environment, each begun again where it ends.

    start_episodes(env, n, key) -> episodes
    observations(env, episodes) -> x;   scaled(env, x) -> x
    step_episodes(env, episodes, actions, key) -> episodes, transitions
    rollout(env, policy, episodes, steps, key) -> episodes, transitions of many steps
    evaluate_policy(env, policy, n, key) -> returns

Transitions are a dict of arrays (..., n): "observation", "action", "reward", "next_observation", the truths
"terminated" and "truncated", and "return", the rewards of the episode so far.

Laws: "next_observation" is of the episode that the step belongs to, not of the one that begins behind its end: a value
is bootstrapped from it unless the step has "terminated". An episode ends by the environment, or is truncated at its
limit, never both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.environments._environment import Environment

Policy = Callable[[jax.Array, jax.Array], jax.Array]  # observations (n, d), a key -> actions (n, ...)
Transitions = dict[str, jax.Array]


class Episodes(NamedTuple):
    """Episodes: where each of n copies of an environment is.

    Attributes:
      state: (n, ...), of the environment.
      time: (n,) int32, the steps of the episode so far.
      total: (n,) float32, its rewards so far.
    """

    state: jax.Array
    time: jax.Array
    total: jax.Array


def start_episodes(env: Environment, n: int, key: jax.Array) -> Episodes:
    """Episodes: n of them, each at a state that is drawn.

    Raises:
      ValueError: n is no integer of 1 or more.

    >>> from jnn.environments import cart_pole
    >>> start_episodes(cart_pole(), 3, jax.random.key(0)).state.shape
    (3, 4)
    """
    checks.count("start_episodes", "n", n)
    return Episodes(jax.vmap(env.reset)(jax.random.split(key, n)), jnp.zeros(n, jnp.int32), jnp.zeros(n))


def observations(env: Environment, episodes: Episodes) -> jax.Array:
    """Observations (n, d) of all episodes.

    >>> from jnn.environments import pendulum
    >>> observations(pendulum(), start_episodes(pendulum(), 3, jax.random.key(0))).shape
    (3, 3)
    """
    return jax.vmap(env.observe)(episodes.state)


def scaled(env: Environment, x: jax.Array) -> jax.Array:
    """Scaled observations (..., d): each number divided by how large it typically is, as networks like it.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not (..., d).

    >>> from jnn.environments import pendulum
    >>> scaled(pendulum(), jnp.array([1.0, 0.0, 4.0])).tolist()
    [1.0, 0.0, 0.5]
    """
    checks.floats("scaled", x)
    checks.trailing("scaled", x, (len(env.scale),))
    return x / jnp.broadcast_to(jnp.array(env.scale, x.dtype), x.shape)


def step_episodes(
    env: Environment, episodes: Episodes, actions: jax.Array, key: jax.Array
) -> tuple[Episodes, Transitions]:
    """Step of every episode, with auto-reset: what has ended is at a new beginning.

    Args:
      env: any environment.
      episodes: n of them.
      actions: (n,) integers in 0..actions-1, or (n, actions) floats, as the environment wants them; what is beyond its
        bound is cut.
      key: of the steps' noise and the new beginnings.

    Returns:
      The episodes, and their transitions (n, ...).

    Raises:
      TypeError: actions are not integers where the environment wants these.
      ValueError: actions are not one for each episode, in the environment's shape, or known to be out of range.

    >>> from jnn.environments import cart_pole
    >>> env = cart_pole()
    >>> episodes = start_episodes(env, 3, jax.random.key(0))
    >>> episodes, seen = step_episodes(env, episodes, jnp.ones(3, int), jax.random.key(1))
    >>> seen["return"].tolist(), episodes.time.tolist()
    ([1.0, 1.0, 1.0], [1, 1, 1])
    """
    n = len(episodes.time)
    wanted = (n,) if env.bound is None else (n, env.actions)
    if actions.shape != wanted:
        raise ValueError(f"step_episodes: expected actions {wanted}, found {checks.describe(actions)}.")
    if env.bound is None:
        checks.integers("step_episodes", actions, name="actions")
        checks.in_range("step_episodes", actions, env.actions, what="actions", of="actions")
    noise, fresh = jax.random.split(key, (2, n))
    state, reward, terminated = jax.vmap(env.step)(episodes.state, actions, noise)
    time, total = episodes.time + 1, episodes.total + reward
    truncated = (time >= env.limit) & ~terminated
    seen = {
        "observation": observations(env, episodes),
        "action": actions,
        "reward": reward,
        "next_observation": jax.vmap(env.observe)(state),
        "terminated": terminated,
        "truncated": truncated,
        "return": total,
    }
    begun = Episodes(jax.vmap(env.reset)(fresh), jnp.zeros_like(time), jnp.zeros_like(total))
    anew = lambda new, old: jnp.where((terminated | truncated).reshape(-1, *(1,) * (old.ndim - 1)), new, old)
    return jax.tree.map(anew, begun, Episodes(state, time, total)), seen


def rollout(
    env: Environment, policy: Policy, episodes: Episodes, steps: int, key: jax.Array
) -> tuple[Episodes, Transitions]:
    """Rollout: so many steps of every episode by a policy.

    Args:
      env: any environment.
      policy: `policy(observations, key) -> actions`.
      episodes: n of them.
      steps: 1 or more.
      key: of the policy's noise and the environment's.

    Returns:
      The episodes behind them, and transitions (steps, n, ...).

    Raises:
      ValueError: steps is no integer of 1 or more; beside what `step_episodes` raises.

    >>> from jnn.environments import cart_pole
    >>> env, right = cart_pole(), lambda x, key: jnp.ones(len(x), int)
    >>> _, seen = rollout(env, right, start_episodes(env, 2, jax.random.key(0)), 20, jax.random.key(1))
    >>> seen["observation"].shape, seen["terminated"].any(0).tolist()  # the pole falls within ten steps
    ((20, 2, 4), [True, True])
    """
    checks.count("rollout", "steps", steps)

    def one(episodes: Episodes, key: jax.Array) -> tuple[Episodes, Transitions]:
        choice, chance = jax.random.split(key)
        return step_episodes(env, episodes, policy(observations(env, episodes), choice), chance)

    return jax.lax.scan(one, episodes, jax.random.split(key, steps))


def evaluate_policy(env: Environment, policy: Policy, n: int, key: jax.Array) -> jax.Array:
    """Returns of n whole episodes by a policy, without a discount.

    Args:
      env, policy, key: as in `rollout`.
      n: episodes.

    Returns:
      (n,) float32.

    Raises:
      ValueError: n is no integer of 1 or more; beside what `step_episodes` raises.

    >>> from jnn.environments import mountain_car
    >>> evaluate_policy(mountain_car(), lambda x, key: jnp.ones(len(x), int), 2, jax.random.key(0)).tolist()
    [-200.0, -200.0]
    """
    begin, go = jax.random.split(key)
    _, seen = rollout(env, policy, start_episodes(env, n, begin), env.limit, go)
    ends = jnp.argmax(seen["terminated"] | seen["truncated"], axis=0)  # all end within the limit
    return jnp.take_along_axis(seen["return"], ends[None], axis=0)[0]
