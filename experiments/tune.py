"""Tuning: rate, batch, depth, width and dropout of a perceptron, by hundreds of runs in a few programs.

Data      `--data`: 1,797 digits of 8x8 pixels, Fashion-MNIST, or the log of 1 and rentals of bicycles in 78,421 hours.
          Of digits a fifth tests and a fifth of the rest validates, of garments the published test and a fifth of the
          rest, of bicycles the last year and the one before.
Network   a perceptron of 1 or 3 layers of 32 or 128 ReLUs with dropout; of bicycles, with embeddings of categories.
Training  Adam, cosine to 0. Structure (depth, width, batch) makes eight programs; rates and dropout are arguments.
Search    `--plan`: successive halving (Jamieson and Talwalkar, 2016), ASHA (Li et al., 2020), or neither, each of 64
          members by an eighth of the steps at first; `--sampler`: Sobol's sequence, chance, or Optuna's TPE, which
          learns between four brackets. What validates chooses.
Luck      the best four once more by eight fresh seeds each; what is best then is tested, beside a default that was not
          tuned: rate 1e-3, batches of 32, one layer of 128, dropout 0.2. The test is looked at once.
Run       python -m experiments.tune [--data bikes --steps 1600]
Measured  the test by eight fresh seeds, and the default's (one search each; of digits two). Digits 0.982+-0.003 and
          0.986+-0.003, 0.965, of 800 steps, 60 s; Fashion-MNIST 0.873+-0.002, 0.849, of 2,400 steps, 115 s; bicycles,
          RMSE in deviations of the log, 0.324+-0.003, 0.412, of 1,600 steps, 61 s. Processor time of one busy core,
          with all compilation.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.refusals import refuse
from experiments.training import train
from experiments.tuned import DEFAULT, SPACE, Name, Task
from jnn.data import Batches, in_order
from jnn.launch import USAGE
from jnn.sweep import (
    Asha,
    Found,
    OptunaSampler,
    Plan,
    RandomSampler,
    Sampler,
    SobolSampler,
    SuccessiveHalving,
    confirm,
    search,
)
from jnn.sweep.report import figures

BRACKETS = 4  # for a sampler that learns


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Rate, batch, depth, width and dropout."""

    steps: int = 800
    workdir: str = "runs/tune"
    data: Name = "digits"
    plan: Literal["halving", "asha", "full"] = "halving"
    sampler: Literal["sobol", "random", "tpe"] = "sobol"
    members: int = 64
    top: int = 4  # that are trained once more
    seeds: int = 8  # of each


def rungs(config: Config) -> tuple[int, ...]:
    """Steps after which members are compared: an eighth of all, a quarter, a half, all."""
    first = max(1, config.steps // 8)
    return tuple(first * 2**k for k in range(4))


def plan_of(config: Config) -> Plan:
    """Who goes on for how long."""
    brackets = BRACKETS if config.sampler == "tpe" and config.members >= BRACKETS else 1
    if config.plan == "asha":
        return Asha(config.members, -(-config.members // 4), rungs(config))
    every, steps = rungs(config)[0], rungs(config)
    return SuccessiveHalving(
        config.members // brackets, steps if config.plan == "halving" else steps[-1:], brackets=brackets, every=every
    )


def sampler_of(config: Config) -> Sampler:
    """What is tried."""
    kinds = {"sobol": SobolSampler, "random": RandomSampler, "tpe": OptunaSampler}
    return kinds[config.sampler](SPACE, seed=config.seed)


def winner(config: Config, task: Task, values: dict[str, Any]) -> tuple[Any, list[dict[str, float]]]:
    """The best hyperparameters as an ordinary run, over whatever mesh."""
    h = {name: jnp.float32(values[name]) for name in ("learning_rate", "dropout")}
    state, history = train(
        dataclasses.replace(config, steps=task.steps),
        task.spec(values["depth"], values["width"]),
        lambda params, batch, ctx: task.loss(params, batch, ctx._replace(given=h)),
        task.adam(h),
        Batches(task.train, values["batch_size"], seed=config.seed),
        every=max(1, task.steps // 8),
        validation=in_order(task.validation, 1000),
        name="winner",
    )
    return state.params, history


def experiment(config: Config) -> Outcome:
    """Searches; then trains the best again, and tests what is best then."""
    if jax.process_count() > 1:
        refuse("this experiment is of one process, whose devices share the members out.", USAGE)
    task = Task(config.data, rungs(config)[-1], config.data_dir)
    if config.preflight.machine is not None:
        winner(config, task, DEFAULT)
    where = {"metric": task.metric, "mode": task.mode, "seed": config.seed, "save_seconds": config.save_seconds}
    folder = Path(config.workdir) / "sweep"
    found = search(task.sweep, SPACE, plan_of(config), sampler_of(config), task.validation, folder=folder, **where)
    once_more = confirm(found, task.validation, task.test, top=config.top, seeds=config.seeds)
    values = once_more.values[once_more.winner]
    params, history = winner(config, task, values)
    metrics = values | summary(config, task, found, once_more)
    drawn = {caption: lambda figure=figure: figure for caption, figure in figures(found, once_more).items()}
    return Outcome(params, metrics, history, drawn)


def summary(config: Config, task: Task, found: Found, once_more: Any) -> dict[str, Any]:
    """The numbers: what the search said, what fresh seeds say, the test, and a default's."""
    steps = found.log.steps().values()
    own = once_more.scores[once_more.winner]
    return {
        "member_steps": sum(steps),
        "of_all": sum(steps) / (config.members * found.plan.steps),
        f"search_{task.metric}": once_more.first,
        f"validation_{task.metric}": own.mean(),
        "validation_deviation": own.std(ddof=1) if config.seeds > 1 else 0.0,
        "confidence": once_more.confidence,
        f"test_{task.metric}": once_more.test.mean(),
        "test_deviation": once_more.test.std(ddof=1) if config.seeds > 1 else 0.0,
        f"default_test_{task.metric}": float(default(config, task).mean()),
    }


def default(config: Config, task: Task) -> np.ndarray:
    """The metric on the test of a network that nobody tuned, by as many seeds."""
    sweep = task.sweep(**{name: DEFAULT[name] for name in ("depth", "width", "batch_size")})
    point = {name: DEFAULT[name] for name in ("learning_rate", "dropout")}
    members, _ = sweep.train(sweep.begin([point] * config.seeds), task.steps)
    return sweep.evaluate(members, task.test)[task.metric]


if __name__ == "__main__":
    launch(experiment, Config)
