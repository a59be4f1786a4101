"""DQN: values of actions, learned from all that was tried, towards what an older copy of the network says of the rest.

    repeat:  act by the best value, or now and then by chance; keep what was seen in a buffer
             several times, on rows of the buffer:
                 y = r + discount Q'(s', argmax Q(s', .));  step on (Q(s, a) - y)^2
             every so many of these:  Q' = Q

See "Human-level control through deep reinforcement learning", Mnih et al., 2015, and, of the argmax, "Deep
Reinforcement Learning with Double Q-learning", van Hasselt, Guez and Silver, 2016. Of discrete actions. Q' is the
state's `memory`. Errors are squared, where the paper cuts them at 1: of a pole that stays up for hundreds of steps the
few that fall say the most, and with errors cut returns stayed near 120, whatever else was tried.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jnn
from experiments import transitions
from jnn.environments import Environment, replay_add, replay_sample, rollout, scaled, start_episodes
from jnn.losses import double_q_learning_loss
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput, create_state, update


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is chosen for a task."""

    horizon: int = 16  # steps between two times of learning
    updates: int = 32  # of one such time
    rows: int = 128  # of an update
    capacity: int = 50_000
    refresh: int = 100  # updates until Q' is the newest again
    learning_rate: float = 1e-3
    discount: float = 0.98
    least: float = 0.05  # how often chance acts in the end
    exploration: int = 60  # steps until then
    hidden: tuple[int, ...] = (64, 64)
    steps: int = 100  # in all, over which the learning rate falls to 0


SETTINGS = {
    "cart_pole": Settings(),
    "acrobot": Settings(discount=0.99),
    "gridworld": Settings(discount=0.97, capacity=20_000),
}


def network_specs(env: Environment, how: Settings) -> dict[str, Any]:
    """Declares Q."""
    return {"q": mlp_spec((len(env.scale), *how.hidden, env.actions))}


def adam(how: Settings) -> optax.GradientTransformation:
    """The optimizer."""
    return optax.adam(optax.linear_schedule(how.learning_rate, 0.0, how.steps * how.updates))


def q(params: Any, env: Environment, x: jax.Array) -> jax.Array:
    """Values of actions (..., actions) at observations (..., d)."""
    return mlp(params, scaled(env, x), key=None)


def best(params: Any, env: Environment, x: jax.Array, key: jax.Array) -> jax.Array:
    """The actions of the greatest value."""
    return q(params["q"], env, x).argmax(-1)


def begin(env: Environment, how: Settings, environments: int, key: jax.Array) -> dict[str, Any]:
    """All that there is of a run at first."""
    params = jnn.init(network_specs(env, how), jnn.path_key(key, "init"))
    episodes = start_episodes(env, environments, jnn.path_key(key, "episodes"))
    seen = jax.eval_shape(partial(act, env, how, params["q"], episodes, jnp.int32(0)), key)[1]
    buffer = transitions.buffer_for(seen, how.capacity)
    return {"q": create_state(params["q"], adam(how), memory=params["q"]), "episodes": episodes, "buffer": buffer}


def act(
    env: Environment, how: Settings, params: Any, episodes: Any, step: jax.Array, key: jax.Array
) -> tuple[Any, dict]:
    """So many steps, of which chance makes fewer and fewer."""
    epsilon = optax.linear_schedule(1.0, how.least, how.exploration)(step)

    def policy(x: jax.Array, key: jax.Array) -> jax.Array:
        which, what = jax.random.split(key)
        chance = jax.random.randint(what, x.shape[:1], 0, env.actions)
        return jnp.where(jax.random.uniform(which, x.shape[:1]) < epsilon, chance, q(params, env, x).argmax(-1))

    return rollout(env, policy, episodes, how.horizon, key)


def loss(params: Any, batch: dict, ctx: Any, env: Environment, how: Settings) -> LossOutput:
    """Double Q-learning's."""
    old, now, later = (
        q(p, env, batch[name])
        for p, name in ((ctx.memory, "next_observation"), (params, "observation"), (params, "next_observation"))
    )
    discounts = how.discount * (1.0 - batch["terminated"])  # but not where time was up
    return LossOutput(
        double_q_learning_loss(now, batch["action"], batch["reward"], discounts, old, later, delta=jnp.inf)
    )


def advance(
    env: Environment, how: Settings, run: dict[str, Any], step: jax.Array, key: jax.Array
) -> tuple[dict[str, Any], dict]:
    """Acts for a while, then learns for a while."""
    keys = jax.random.split(key, 3)
    episodes, seen = act(env, how, run["q"].params, run["episodes"], step, keys[0])
    buffer = replay_add(run["buffer"], transitions.as_rows(seen))

    def remember(memory: Any, params: Any, stats: Any, rows: Any, count: jax.Array) -> Any:
        return jax.tree.map(lambda new, old: jnp.where(count % how.refresh == 0, new, old), params, memory)

    def learn(network: Any, key: jax.Array) -> tuple[Any, dict]:
        rows = replay_sample(buffer, how.rows, key)
        return update(
            partial(loss, env=env, how=how), adam(how), network, rows, keys[2], remember=remember, clip_norm=10.0
        )

    network, metrics = jax.lax.scan(learn, run["q"], jax.random.split(keys[1], how.updates))
    return {"q": network, "episodes": episodes, "buffer": buffer}, transitions.metrics(seen, metrics["loss"])
