"""SAC: a policy that is worth much and as random as it may be; two values, and a price of randomness that is learned.

    repeat:  act by the policy; keep what was seen in a buffer
             several times, on rows of the buffer, with a' drawn by the policy at s', a at s:
                 y = r + discount (min Q'(s', a') - alpha log pi(a'))
                 step on (Q1(s, .) - y)^2 + (Q2(s, .) - y)^2;    Q' moves a little towards Q
                 step on alpha log pi(a) - min Q(s, a)
                 step on -log alpha (log pi(a) + target)

See "Soft Actor-Critic Algorithms and Applications", Haarnoja et al., 2018. Of continuous actions. Three networks, each
an `update` with the others `given`; Q' is the `memory` of the values.
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
from jnn.losses import td_loss
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput, create_state, update


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is chosen for a task."""

    horizon: int = 4  # steps between two times of learning
    updates: int = 32  # of one such time
    rows: int = 128  # of an update
    capacity: int = 50_000
    learning_rate: float = 2e-3
    discount: float = 0.97
    average: float = 0.98  # of Q'
    hidden: tuple[int, ...] = (64, 64)
    steps: int = 100  # in all, over which the learning rate falls to 0


SETTINGS = {"pendulum": Settings(), "quadrotor": Settings()}


def network_specs(env: Environment, how: Settings) -> dict[str, Any]:
    """Declares the policy, two values, and the logarithm of alpha."""
    observed = len(env.scale)
    values = {name: mlp_spec((observed + env.actions, *how.hidden, 1)) for name in ("q1", "q2")}
    price = {"log": jnn.Param((), jnn.initializers.zeros, ())}
    return {"actor": mlp_spec((observed, *how.hidden, 2 * env.actions)), "critic": values, "price": price}


def adam(how: Settings) -> optax.GradientTransformation:
    """The optimizer of each."""
    return optax.adam(optax.linear_schedule(how.learning_rate, 0.0, how.steps * how.updates))


def normal(params: Any, env: Environment, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and deviation (..., actions) of what is then squashed by tanh."""
    mean, spread = jnp.split(mlp(params, scaled(env, x), key=None), 2, axis=-1)
    return mean, jnp.exp(jnp.clip(spread, -5, 2))


def drawn(params: Any, env: Environment, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Actions (..., actions) in -1..1, and their log-probabilities (...)."""
    mean, spread = normal(params, env, x)
    u = mean + spread * jax.random.normal(key, mean.shape)
    squashed = 2 * (jnp.log(2) - u - jax.nn.softplus(-2 * u))  # log(1 - tanh(u)^2)
    return jnp.tanh(u), (jax.scipy.stats.norm.logpdf(u, mean, spread) - squashed).sum(-1)


def both(params: Any, env: Environment, x: jax.Array, actions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two values (...) of actions in -1..1."""
    whole = jnp.concatenate([scaled(env, x), actions], -1)
    return mlp(params["q1"], whole, key=None)[..., 0], mlp(params["q2"], whole, key=None)[..., 0]


def best(params: Any, env: Environment, x: jax.Array, key: jax.Array) -> jax.Array:
    """The middle of what the policy draws."""
    return env.bound * jnp.tanh(normal(params["actor"], env, x)[0])


def begin(env: Environment, how: Settings, environments: int, key: jax.Array) -> dict[str, Any]:
    """All that there is of a run at first."""
    params = jnn.init(network_specs(env, how), jnn.path_key(key, "init"))
    episodes = start_episodes(env, environments, jnn.path_key(key, "episodes"))
    seen = jax.eval_shape(partial(act, env, how, params["actor"], episodes), key)[1]
    buffer = transitions.buffer_for(seen, how.capacity)
    memory = {"actor": None, "critic": params["critic"], "price": None}
    networks = {name: create_state(params[name], adam(how), memory=memory[name]) for name in memory}
    return networks | {"episodes": episodes, "buffer": buffer}


def act(env: Environment, how: Settings, params: Any, episodes: Any, key: jax.Array) -> tuple[Any, dict]:
    """So many steps by the policy."""
    policy = lambda x, key: env.bound * drawn(params, env, x, key)[0]
    return rollout(env, policy, episodes, how.horizon, key)


def critic_loss(params: Any, batch: dict, ctx: Any, env: Environment, how: Settings) -> LossOutput:
    """Of both values; the policy and alpha are given, Q' is remembered."""
    actor, price = ctx.given
    later = batch["next_observation"]
    actions, log_prob = drawn(actor, env, later, ctx.draw)
    target = jnp.minimum(*both(ctx.memory, env, later, actions)) - jnp.exp(price["log"]) * log_prob
    discounts = how.discount * (1.0 - batch["terminated"])  # but not where time was up
    values = both(params, env, batch["observation"], batch["action"] / env.bound)
    return LossOutput(sum(td_loss(value, batch["reward"], discounts, target) for value in values))


def actor_loss(params: Any, batch: dict, ctx: Any, env: Environment) -> LossOutput:
    """Of the policy; the values and alpha are given."""
    critic, price = ctx.given
    actions, log_prob = drawn(params, env, batch["observation"], ctx.draw)
    value = jnp.minimum(*both(critic, env, batch["observation"], actions))
    metrics = {"log_prob": jnn.metrics.mean(log_prob)}
    return LossOutput(jnp.exp(price["log"]) * log_prob - value, metrics=metrics)


def price_loss(params: Any, batch: dict, ctx: Any, env: Environment) -> LossOutput:
    """Of alpha: randomness is dear where there is more of it than -1 for each number of an action; log pi is given."""
    return LossOutput(jnp.broadcast_to(-params["log"] * (ctx.given - env.actions), batch["reward"].shape))


def advance(
    env: Environment, how: Settings, run: dict[str, Any], step: jax.Array, key: jax.Array
) -> tuple[dict[str, Any], dict]:
    """Acts for a while, then learns for a while."""
    keys = jax.random.split(key, 5)
    episodes, seen = act(env, how, run["actor"].params, run["episodes"], keys[0])
    buffer = replay_add(run["buffer"], transitions.as_rows(seen))
    polyak = lambda memory, params, *_: optax.incremental_update(params, memory, 1 - how.average)

    def learn(networks: tuple, key: jax.Array) -> tuple[tuple, dict]:
        actor, critic, price = networks
        rows, given = replay_sample(buffer, how.rows, key), (actor.params, price.params)
        own = partial(critic_loss, env=env, how=how)
        critic, told = update(own, adam(how), critic, rows, keys[2], given=given, remember=polyak)
        given = (critic.params, price.params)
        actor, acted = update(partial(actor_loss, env=env), adam(how), actor, rows, keys[3], given=given)
        given = acted["log_prob"].value()
        price, _ = update(partial(price_loss, env=env), adam(how), price, rows, keys[4], given=given)
        return (actor, critic, price), told

    networks = (run["actor"], run["critic"], run["price"])
    networks, metrics = jax.lax.scan(learn, networks, jax.random.split(keys[1], how.updates))
    run = dict(zip(("actor", "critic", "price"), networks, strict=True)) | {"episodes": episodes, "buffer": buffer}
    return run, transitions.metrics(seen, metrics["loss"])
