"""PPO: a policy that is moved a little at a time, by what its own actions turned out to be worth.

    repeat:  act by the policy for so many steps
             A = GAE(r, V);  R = A + V
             some epochs, in parts:  step on -min(ratio A, clip(ratio) A) - entropy;  step on (V - R)^2

See "Proximal Policy Optimization Algorithms", Schulman et al., 2017. Of discrete actions.
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
from jnn.environments import Environment, rollout, scaled, start_episodes
from jnn.losses import categorical_entropy, generalized_advantages, ppo_loss, td_loss
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput, create_state, update


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is chosen for a task."""

    horizon: int = 128  # steps between two moves
    epochs: int = 4
    parts: int = 4  # of what was seen, an update each
    learning_rate: float = 1e-3
    discount: float = 0.99
    decay: float = 0.95  # lambda of GAE
    clip: float = 0.2
    entropy: float = 0.01
    hidden: tuple[int, ...] = (64, 64)
    steps: int = 100  # in all, over which the learning rate falls to 0


SETTINGS = {
    "cart_pole": Settings(horizon=32, epochs=20, parts=1, discount=0.98, decay=0.8, entropy=0.0),
    "mountain_car": Settings(horizon=50, epochs=10, decay=0.98, entropy=0.1),
    "acrobot": Settings(),
    "gridworld": Settings(horizon=64, epochs=10, discount=0.97, learning_rate=3e-3),
}


def network_specs(env: Environment, how: Settings) -> dict[str, Any]:
    """Declares policy and value."""
    sizes = (len(env.scale), *how.hidden)
    return {"actor": mlp_spec((*sizes, env.actions)), "critic": mlp_spec((*sizes, 1))}


def adam(how: Settings) -> optax.GradientTransformation:
    """The optimizer."""
    return optax.adam(optax.linear_schedule(how.learning_rate, 0.0, how.steps * how.epochs * how.parts), eps=1e-5)


def logits(params: Any, env: Environment, x: jax.Array) -> jax.Array:
    """Of actions (..., actions) to observations (..., d)."""
    return mlp(params, scaled(env, x), key=None, activation=jnp.tanh)


def value(params: Any, env: Environment, x: jax.Array) -> jax.Array:
    """Of observations (..., d): what is to come, (...)."""
    return mlp(params, scaled(env, x), key=None, activation=jnp.tanh)[..., 0]


def log_prob(params: Any, env: Environment, x: jax.Array, actions: jax.Array) -> jax.Array:
    """Log-probabilities of actions (...) to observations (..., d)."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits(params, env, x)), actions[..., None], -1)[..., 0]


def best(params: Any, env: Environment, x: jax.Array, key: jax.Array) -> jax.Array:
    """The likeliest actions."""
    return logits(params["actor"], env, x).argmax(-1)


def begin(env: Environment, how: Settings, environments: int, key: jax.Array) -> dict[str, Any]:
    """All that there is of a run at first."""
    params = jnn.init(network_specs(env, how), jnn.path_key(key, "init"))
    episodes = start_episodes(env, environments, jnn.path_key(key, "episodes"))
    return {name: create_state(params[name], adam(how)) for name in params} | {"episodes": episodes}


def worth(actor: Any, critic: Any, env: Environment, how: Settings, seen: dict) -> dict[str, jax.Array]:
    """What was seen (steps, n, ...) as rows, with advantages, returns, and how likely each action was."""
    now, later = (value(critic, env, seen[name]) for name in ("observation", "next_observation"))
    # where time was up, what would have come counts as a reward; beyond any end nothing does
    reward = seen["reward"] + how.discount * seen["truncated"] * later
    discounts = how.discount * (1.0 - (seen["terminated"] | seen["truncated"]))
    in_time = (jnp.moveaxis(x, 0, -1) for x in (reward, discounts, jnp.concatenate([now, later[-1:]])))
    advantage = jnp.moveaxis(generalized_advantages(*in_time, decay=how.decay), -1, 0)
    log_probs = log_prob(actor, env, seen["observation"], seen["action"])
    rows = {name: seen[name] for name in ("observation", "action")}
    rows |= {"advantage": advantage, "return": advantage + now, "log_prob": log_probs}
    return transitions.as_rows(rows)


def actor_loss(params: Any, batch: dict, ctx: Any, env: Environment, how: Settings) -> LossOutput:
    """Of the policy."""
    x, advantage = batch["observation"], batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ours = log_prob(params, env, x, batch["action"])
    values = ppo_loss(ours, batch["log_prob"], advantage, clip=how.clip)
    return LossOutput(values - how.entropy * categorical_entropy(logits(params, env, x)))


def critic_loss(params: Any, batch: dict, ctx: Any, env: Environment) -> LossOutput:
    """Of the value: towards the returns."""
    now, nothing = value(params, env, batch["observation"]), jnp.zeros_like(batch["return"])
    return LossOutput(td_loss(now, batch["return"], nothing, nothing))


def advance(
    env: Environment, how: Settings, run: dict[str, Any], step: jax.Array, key: jax.Array
) -> tuple[dict[str, Any], dict]:
    """Acts for a while, then moves the policy."""
    networks, keys = (run["actor"], run["critic"]), jax.random.split(key, 3)
    actor, critic = (network.params for network in networks)
    act = lambda x, key: jax.random.categorical(key, logits(actor, env, x))
    episodes, seen = rollout(env, act, run["episodes"], how.horizon, keys[0])
    rows = worth(actor, critic, env, how, seen)

    def move(networks: tuple, chosen: jax.Array) -> tuple[tuple, dict]:
        actor, critic = networks
        part, clip = jax.tree.map(lambda x: x[chosen], rows), {"clip_norm": 0.5}
        actor, _ = update(partial(actor_loss, env=env, how=how), adam(how), actor, part, keys[2], **clip)
        critic, told = update(partial(critic_loss, env=env), adam(how), critic, part, keys[2], **clip)
        return (actor, critic), told

    order = jax.vmap(lambda key: jax.random.permutation(key, len(rows["return"])))
    orders = order(jax.random.split(keys[1], how.epochs)).reshape(how.epochs * how.parts, -1)
    (actor, critic), metrics = jax.lax.scan(move, networks, orders)
    return {"actor": actor, "critic": critic, "episodes": episodes}, transitions.metrics(seen, metrics["loss"])
