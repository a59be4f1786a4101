"""A search of `jnn.sweep` beside scikit-learn's and Keras Tuner's, in the same time, by the same data and space.

python -m experiments.benchmarks.tuners [--data fashion_mnist --steps 2400] [--peers keras-hyperband] [--rounds 3]

`experiments.tune` sets the time, its compilation included. A peer then tries points of the same space by as many steps
until that time is over; what it has begun by then it ends. Either side's best on the validation rows is trained by
fresh seeds, and tested. Time is processor time: pin it to one core. Of what is not installed a word is said.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import tyro

from experiments import tune
from experiments.benchmarks import sklearn_search
from experiments.options import description
from jnn.sweep import confirm, search
from jnn.terminal import say

Found = tuple[int, float, np.ndarray]  # points that were tried, how the best validated, its tests by fresh seeds
Peer = Callable[[tune.Task, float, int, int], Found]


@dataclasses.dataclass(frozen=True)
class Config:
    """Searches in the same time."""

    data: Literal["digits", "fashion_mnist"] = "digits"
    steps: int = 800
    members: int = 64
    seeds: int = 8
    rounds: int = 3
    seed: int = 0  # of the first round
    peers: tuple[Literal["scikit-learn", "keras-random", "keras-hyperband"], ...] = (
        "scikit-learn",
        "keras-random",
        "keras-hyperband",
    )
    data_dir: str | None = None


def ours(config: Config, task: tune.Task, seed: int) -> tuple[float, Found]:
    """Processor seconds of a search, and what it found."""
    own = tune.Config(steps=config.steps, members=config.members, seed=seed, data=config.data)
    where = {"metric": task.metric, "mode": task.mode, "seed": seed}
    began = time.process_time()
    found = search(task.sweep, tune.SPACE, tune.plan_of(own), tune.sampler_of(own), task.validation, **where)
    seconds = time.process_time() - began
    sure = confirm(found, task.validation, task.test, top=1, seeds=config.seeds)
    return seconds, (config.members, sure.first, sure.test)


def keras_searches() -> dict[str, Peer]:
    """Those of Keras Tuner, on JAX; none, and a word, where it is not installed."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        from experiments.benchmarks.keras_search import TUNERS, search
    except ImportError as error:
        say(f"Keras Tuner is left out: {error}")
        return {}
    return {name: functools.partial(search, make) for name, make in TUNERS.items()}


def told(name: str, found: Found) -> str:
    """One side of a round in a line."""
    tried, validated, test = found
    return f"  {name}: {tried} tried, {validated:.4f} validates, test {test.mean():.4f} +- {test.std():.4f}"


def main(config: Config) -> None:
    """Prints a line for each side of each round."""
    peers: dict[str, Peer] = {"scikit-learn": sklearn_search.search}
    if set(config.peers) - set(peers):
        peers |= keras_searches()
    for seed in range(config.seed, config.seed + config.rounds):
        task = tune.Task(config.data, config.steps, config.data_dir)
        seconds, own = ours(config, task, seed)
        say(f"{config.data}, seed {seed}, {seconds:.0f} s")
        say(told("jnn", own))
        for name in (name for name in config.peers if name in peers):
            say(told(name, peers[name](task, seconds, seed, config.seeds)))


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
