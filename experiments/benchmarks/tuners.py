"""A search of `jnn.sweep` beside scikit-learn's random search, in the same time, by the same data and the same space.

python -m experiments.benchmarks.tuners [--rounds 3]

`experiments.tune` on 8x8 digits sets the time, its compilation included. scikit-learn then tries one point of the same
space after another, as its `RandomizedSearchCV` does, until that time is over: an `MLPClassifier` by Adam, of as many
steps; it has no dropout, so a penalty is searched in its place. Either side's best on the validation rows is trained by
fresh seeds, and tested. On one core, pin them to it.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from typing import Any

import numpy as np
import tyro
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from experiments import datasets, tune
from experiments.options import description
from jnn.sweep import Found, LogUniform, RandomSampler, confirm, search
from jnn.terminal import say

SPACE = {name: dimension for name, dimension in tune.SPACE.items() if name != "dropout"}
SPACE |= {"penalty": LogUniform(1e-6, 1e-1)}


@dataclasses.dataclass(frozen=True)
class Config:
    """Two searches in the same time."""

    steps: int = 800
    members: int = 64
    seeds: int = 8
    rounds: int = 3


def ours(config: Config, seed: int) -> tuple[float, np.ndarray]:
    """Seconds of a search, and test accuracies of what it finds."""
    own = tune.Config(steps=config.steps, members=config.members, seed=seed, data="digits")
    began, task = time.perf_counter(), tune.Task(own.data, config.steps)
    where = {"metric": task.metric, "mode": task.mode, "seed": seed}
    found: Found = search(task.sweep, tune.SPACE, tune.plan_of(own), tune.sampler_of(own), task.validation, **where)
    seconds = time.perf_counter() - began
    return seconds, confirm(found, task.validation, task.test, top=1, seeds=config.seeds).test


def network(values: dict[str, Any], config: Config, rows: int, seed: int) -> MLPClassifier:
    """Theirs, of as many steps."""
    return MLPClassifier(
        (values["width"],) * values["depth"],
        alpha=values["penalty"],
        batch_size=values["batch_size"],
        learning_rate_init=values["learning_rate"],
        max_iter=max(1, round(config.steps * values["batch_size"] / rows)),
        n_iter_no_change=10**6,
        random_state=seed,
    )


def theirs(config: Config, seconds: float, seed: int) -> tuple[int, np.ndarray]:
    """How many points were tried in that time, and test accuracies of the best."""
    parts = datasets.digits()
    train, validation, test = ((part["x"].reshape(len(part["x"]), -1), part["y"]) for part in parts[:3])
    sampler, tried, began = RandomSampler(SPACE, seed=seed), [], time.perf_counter()
    fitted = lambda values, seed: network(values, config, len(train[0]), seed).fit(*train)
    while time.perf_counter() - began < seconds:
        values = sampler.ask(1)[0]
        tried.append((fitted(values, seed).score(*validation), values))
    best = max(tried, key=lambda one: one[0])[1]
    return len(tried), np.array([fitted(best, 10**6 + i).score(*test) for i in range(config.seeds)])


def main(config: Config) -> None:
    """Prints a line a round."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    for seed in range(config.rounds):
        seconds, own = ours(config, seed)
        tried, other = theirs(config, seconds, seed)
        say(
            f"seed {seed}, {seconds:.0f} s: jnn, {config.members} begun, test {own.mean():.4f} +- {own.std():.4f}; "
            f"scikit-learn, {tried} tried, test {other.mean():.4f} +- {other.std():.4f}"
        )


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
