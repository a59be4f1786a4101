"""Action repeat: an environment in which each action is held for several steps."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.environments._environment import Environment


def repeat_actions(env: Environment, times: int) -> Environment:
    """Action repeat, or frame skip: each action is held for so many steps, whose rewards are added, up to an end.

    See "The Arcade Learning Environment: An Evaluation Platform for General Agents", Bellemare et al., 2013. Chance
    then explores farther, since it does not take back at once what it did; returns are those of the environment.

    Args:
      env: any environment.
      times: steps, a divisor of the environment's limit.

    Returns:
      An environment of the same states and actions, whose limit is so many times smaller.

    Raises:
      ValueError: times is no integer of 1 or more, or no divisor of the limit.

    >>> from jnn.environments import mountain_car
    >>> env = repeat_actions(mountain_car(), 4)
    >>> state, reward, _ = env.step(jnp.array([-0.5, 0.0]), jnp.int32(2), jax.random.key(0))
    >>> reward.item()
    -4.0
    """
    checks.count("repeat_actions", "times", times)
    if env.limit % times:
        raise ValueError(f"repeat_actions: expected a divisor of the limit of {env.limit} steps, found {times}.")

    def step(state: jax.Array, action: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def once(held: tuple, key: jax.Array) -> tuple[tuple, None]:
            state, reward, ended = held
            after, more, terminated = env.step(state, action, key)
            return (jnp.where(ended, state, after), reward + jnp.where(ended, 0, more), ended | terminated), None

        start = (state, jnp.zeros(()), jnp.zeros((), bool))
        return jax.lax.scan(once, start, jax.random.split(key, times))[0]

    return env._replace(step=step, limit=env.limit // times)
