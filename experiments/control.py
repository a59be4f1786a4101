"""Reinforcement learning: DQN, PPO and SAC learn to control by what they try, ten runs at once as one program.

Data      what policies themselves see of `jnn.environments`: CartPole-v1, Pendulum-v1, MountainCar-v0 and Acrobot-v1
          as in Gymnasium, a planar quadrotor, and a gridworld of four rooms with a slippery floor. A run is a policy
          with parameters, environments and noise of its own; nothing but the program is shared.
Network   DQN ("Human-level control through deep reinforcement learning", Mnih et al., 2015), PPO ("Proximal Policy
          Optimization Algorithms", Schulman et al., 2017) and SAC ("Soft Actor-Critic Algorithms and Applications",
          Haarnoja et al., 2018), each a file beside this one: perceptrons of 64-64 units.
Training  Adam, its rate falling to 0; the rest is in each file's `SETTINGS`. On the mountain an action is held 8 steps.
          Parameters, environments and buffers are the state that is saved.
Measures  the return of 50 episodes of each run's last policy without chance: mean of the runs and its 95 % interval.
Run       python -m experiments.control [--algorithm sac --environment pendulum --steps 170]
Measured  cart-pole: PPO 500 in ten runs of ten, 27 s on one core; DQN 500 and 403 (two runs, 320 steps): MISSED.
          Pendulum: SAC -149.6+-9.3 (ten runs of seeds 1 to 3, 170 steps). Mountain car: PPO -111.0+-2.6 (ten runs of
          seeds 0 to 2, 60 steps, --batch-size 32); DQN never met the goal, and has no settings for it. Few runs:
          acrobot by PPO -157 and -219 (50 steps), by DQN -136 and -500 (150 steps): MISSED, -100; quadrotor by SAC 89.9
          and 80.1 (120 steps), an LQR 93.3; the gridworld by DQN -16.7 (100 steps), where the best is -17.0 on average.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments import control_pictures, dqn, ppo, sac
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.refusals import refuse
from experiments.training import train_networks
from jnn import environments
from jnn.data import Batches
from jnn.environments import evaluate_policy, repeat_actions
from jnn.launch import USAGE

HELD = {"mountain_car": 8}  # for how many steps an action is, so that chance gets anywhere
ALGORITHMS = {"dqn": dqn, "ppo": ppo, "sac": sac}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Control, learned by trying."""

    steps: int = 110
    workdir: str = "runs/control"
    environment: Literal["cart_pole", "pendulum", "mountain_car", "acrobot", "quadrotor", "gridworld"] = "cart_pole"
    algorithm: Literal["dqn", "ppo", "sac"] = "ppo"
    runs: int = 10
    batch_size: int = 8  # environments of each run
    episodes: int = 50  # of each policy in the end
    every: int = 5


def make_updates(config: Config, env: Any, algorithm: Any, how: Any):
    """The state of all runs at first, by a key; and one step of theirs."""
    noise, count = jnn.path_key(jax.random.key(config.seed), "noise"), jnp.arange(config.runs)
    own = lambda key: jax.vmap(partial(jax.random.fold_in, key))(count)

    @jax.jit
    def begin(key: jax.Array) -> dict[str, Any]:
        return {"step": jnp.int32(0)} | jax.vmap(partial(algorithm.begin, env, how, config.batch_size))(own(key))

    def updates(state: dict[str, Any], batch: dict) -> tuple[dict[str, Any], dict]:
        """A step of every run; of a batch only its number of rows counts."""
        runs, step = {name: x for name, x in state.items() if name != "step"}, state["step"]
        advance = jax.vmap(partial(algorithm.advance, env, how), (0, None, 0))
        runs, metrics = advance(runs, step, own(jax.random.fold_in(noise, step)))
        metrics["loss"] = jax.tree.map(jnp.sum, metrics["loss"])
        return {"step": step + 1} | runs, metrics

    return begin, updates


def chosen(config: Config) -> Any:
    """The algorithm, once it is known that it has settings for the environment."""
    algorithm = ALGORITHMS[config.algorithm]
    if config.lanes is not None:
        refuse("--lanes: of experiments whose batch is examples; here a run draws its own.", USAGE)
    if config.environment not in algorithm.SETTINGS:
        kind = f"one of {', '.join(algorithm.SETTINGS)}"
        refuse(f"--environment: expected {kind} for {config.algorithm}, found {config.environment!r}.", USAGE)
    return algorithm


def experiment(config: Config) -> Outcome:
    """Trains all runs, and lets each act as it would act best."""
    algorithm = chosen(config)
    env = repeat_actions(getattr(environments, config.environment)(), held := HELD.get(config.environment, 1))
    how = dataclasses.replace(algorithm.SETTINGS[config.environment], steps=config.steps)
    specs = {name: jnn.stack(spec, config.runs, "runs") for name, spec in algorithm.network_specs(env, how).items()}
    begin, updates = make_updates(config, env, algorithm, how)
    rows = Batches({"x": np.arange(config.batch_size)}, config.batch_size, seed=config.seed)
    state, history = train_networks(config, specs, updates, begin, rows, every=config.every)
    params = {name: state[name].params for name in specs}

    @jax.jit
    def evaluate(params: Any, key: jax.Array) -> jax.Array:
        one = lambda params, key: evaluate_policy(env, partial(algorithm.best, params, env), config.episodes, key)
        return jax.vmap(one)(params, jax.random.split(key, config.runs))

    key = jnn.path_key(jax.random.key(config.seed), "evaluation")
    found = np.asarray(evaluate(params, key)).mean(1)
    metrics = {"return": found.mean(), "interval": control_pictures.interval(found), "returns": found}
    first = jax.tree.map(lambda x: x[0], params)
    moments = lambda: control_pictures.film(env, partial(algorithm.best, first, env), key)
    figures = {
        "What the first run's policy does.": lambda: control_pictures.strip(config.environment, moments(), held),
        "Returns while learning: each run, their mean and its 95 % interval.": lambda: control_pictures.learning(
            history, config.runs, config.batch_size * how.horizon * held
        ),
    }
    return Outcome(params, metrics, control_pictures.averaged(history), figures)


if __name__ == "__main__":
    launch(experiment, Config)
