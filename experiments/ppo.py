"""PPO: a policy that is moved a little at a time, by what its own actions turned out to be worth.

    repeat:  act by the policy for so many steps
             A = GAE(r, V);  R = A + V
             some epochs, in parts:  step on -min(ratio A, clip(ratio) A) + (V - R)^2 / 2 - entropy

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
from jnn.environments import Environment, rollout, scaled, start_episodes
from jnn.losses import categorical_entropy, clipped_value_loss, generalized_advantages, ppo_loss
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


SETTINGS = {
    "cart_pole": Settings(),
    "mountain_car": Settings(decay=0.98, discount=0.99),
    "acrobot": Settings(),
    "gridworld": Settings(horizon=64),
}


def network_specs(env: Environment, how: Settings) -> dict[str, Any]:
    """Declares policy and value as one network of two heads, apart from the first layer on."""
    sizes = (len(env.scale), *how.hidden)
    return {"policy": {"actor": mlp_spec((*sizes, env.actions)), "critic": mlp_spec((*sizes, 1))}}


def adam(how: Settings) -> optax.GradientTransformation:
    """The optimizer."""
    return optax.adam(how.learning_rate, eps=1e-5)


def logits(params: Any, env: Environment, x: jax.Array) -> jax.Array:
    """Of actions (..., actions) to observations (..., d)."""
    return mlp(params["actor"], scaled(env, x), key=None, activation=jnp.tanh)


def value(params: Any, env: Environment, x: jax.Array) -> jax.Array:
    """Of observations (..., d): what is to come, (...)."""
    return mlp(params["critic"], scaled(env, x), key=None, activation=jnp.tanh)[..., 0]


def log_prob(params: Any, env: Environment, x: jax.Array, actions: jax.Array) -> jax.Array:
    """Log-probabilities of actions (...) to observations (..., d)."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits(params, env, x)), actions[..., None], -1)[..., 0]


def best(params: Any, env: Environment, x: jax.Array, key: jax.Array) -> jax.Array:
    """The likeliest actions."""
    return logits(params["policy"], env, x).argmax(-1)


def begin(env: Environment, how: Settings, environments: int, key: jax.Array) -> dict[str, Any]:
    """All that there is of a run at first."""
    params = jnn.init(network_specs(env, how), jnn.path_key(key, "init"))
    episodes = start_episodes(env, environments, jnn.path_key(key, "episodes"))
    return {"policy": create_state(params["policy"], adam(how)), "episodes": episodes}


def worth(params: Any, env: Environment, how: Settings, seen: dict) -> dict[str, jax.Array]:
    """What was seen (steps, n, ...) as rows, with advantages, returns, and what the policy that acted said of it."""
    now, later = (value(params, env, seen[name]) for name in ("observation", "next_observation"))
    # where time was up, what would have come counts as a reward; beyond any end nothing does
    reward = seen["reward"] + how.discount * seen["truncated"] * later
    discounts = how.discount * (1.0 - (seen["terminated"] | seen["truncated"]))
    in_time = (jnp.moveaxis(x, 0, -1) for x in (reward, discounts, jnp.concatenate([now, later[-1:]])))
    advantage = jnp.moveaxis(generalized_advantages(*in_time, decay=how.decay), -1, 0)
    old = log_prob(params, env, seen["observation"], seen["action"])
    rows = {name: seen[name] for name in ("observation", "action")}
    rows |= {"advantage": advantage, "return": advantage + now, "old_value": now, "old_log_prob": old}
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)


def loss(params: Any, batch: dict, ctx: Any, env: Environment, how: Settings) -> LossOutput:
    """PPO's, of policy and value together."""
    x, advantage = batch["observation"], batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ours = log_prob(params, env, x, batch["action"])
    values = ppo_loss(ours, batch["old_log_prob"], advantage, clip=how.clip)
    values -= how.entropy * categorical_entropy(logits(params, env, x))
    errors = clipped_value_loss(value(params, env, x), batch["old_value"], batch["return"], clip=jnp.float32(1e3))
    return LossOutput(values + 0.5 * errors)


def advance(
    env: Environment, how: Settings, run: dict[str, Any], step: jax.Array, key: jax.Array
) -> tuple[dict[str, Any], dict]:
    """Acts for a while, then moves the policy."""
    policy, keys = run["policy"], jax.random.split(key, 3)
    act = lambda x, key: jax.random.categorical(key, logits(policy.params, env, x))
    episodes, seen = rollout(env, act, run["episodes"], how.horizon, keys[0])
    rows = worth(policy.params, env, how, seen)
    count, own = len(rows["return"]), partial(loss, env=env, how=how)

    def move(policy: Any, chosen: jax.Array) -> tuple[Any, dict]:
        part = jax.tree.map(lambda x: x[chosen], rows)
        return update(own, adam(how), policy, part, keys[2], clip_norm=0.5)

    orders = jax.vmap(lambda key: jax.random.permutation(key, count))(jax.random.split(keys[1], how.epochs))
    policy, metrics = jax.lax.scan(move, policy, orders.reshape(how.epochs * how.parts, -1))
    ended = (seen["terminated"] | seen["truncated"]).astype(jnp.float32)
    told = {
        "return": jnn.metrics.mean(seen["return"], ended),
        "loss": jax.tree.map(lambda x: x.sum(0), metrics["loss"]),
    }
    return {"policy": policy, "episodes": episodes}, told
