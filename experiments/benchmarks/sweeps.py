"""Many members of a sweep, beside as many fresh processes, and beside one compiled step in a loop of Python.

python -m experiments.benchmarks.sweeps [--task cnn --steps 100] [--members 256] [--rounds 3]

All train on MNIST for as many steps, from their own seeds, by their own rates and dropout, which the sweep and the
loop take as arguments of one program. A process pays for its start and its compilation; a few are measured, one after
another, and counted for all. Of the loop a few members are measured, too, warm. Rounds take turns, so that what else
the machine does falls on each; "all in" is a new sweep's first time, with its compilation. On one core, pin them to it.
"""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
import optax
import tyro

import jnn
from experiments import datasets
from experiments.benchmarks.table import Ratio
from experiments.options import description
from jnn.models import cnn, cnn_spec, mlp, mlp_spec
from jnn.param import path_key
from jnn.program import Program
from jnn.sweep import Sweep
from jnn.terminal import say
from jnn.train import LossOutput, update

NETWORKS: dict[str, tuple[Any, Callable[..., Any], tuple[int, ...]]] = {
    "mlp": (mlp_spec((784, 128, 64, 10)), mlp, (784,)),
    "cnn": (cnn_spec((28, 28, 1), (8, 16), 32, 10), cnn, (28, 28, 1)),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Members of a sweep, processes, and a loop."""

    task: Literal["mlp", "cnn"] = "mlp"
    members: int = 256
    steps: int = 500
    batch_size: int = 32
    block: int | None = None  # members side by side, where they go one after another
    processes: int = 4  # that are measured
    looped: int = 16  # members of the loop that are measured
    rounds: int = 3
    rows: int | None = None  # of the training images; all by default
    alone: int | None = None  # train this member in this process, and nothing else
    data_dir: str | None = None


def adam(h: Any) -> optax.GradientTransformation:
    """With a member's own rate."""
    return optax.adam(h["learning_rate"])


def sweep_of(config: Config) -> Sweep:
    """The task as a sweep."""
    spec, apply, shape = NETWORKS[config.task]
    part = datasets.mnist(config.data_dir).train
    arrays = {"x": part["x"].reshape(-1, *shape)[: config.rows], "y": part["y"][: config.rows]}

    def loss(params: Any, batch: Any, ctx: Any) -> LossOutput:
        logits = apply(params, batch["x"], key=ctx.key, rate=ctx.given["dropout"])
        return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]), batch["weight"])

    return Sweep(spec, loss, adam, arrays, config.batch_size, block=config.block)


def points(config: Config) -> list[dict[str, float]]:
    """Rates from 1e-4 to 1e-2, and dropout of 0 to 0.3."""
    rates = np.geomspace(1e-4, 1e-2, config.members)
    return [{"learning_rate": rate, "dropout": 0.1 * (i % 4)} for i, rate in enumerate(rates)]


def alone(config: Config, member: int) -> None:
    """One member as whoever starts a process for each trains it."""
    sweep = sweep_of(config)
    step, state, batches = sweep.alone(sweep.begin(points(config)[member : member + 1], [member]), 0)
    for i in range(config.steps):
        state, metrics = step(state, batches[i])
    say(f"{float(metrics['loss'].value()):.4f}")


def process(config: Config, member: int) -> float:
    """Seconds of such a process."""
    options = {"alone": member, "task": config.task, "steps": config.steps, "batch-size": config.batch_size}
    options |= {name: value for name, value in (("rows", config.rows), ("data-dir", config.data_dir)) if value}
    command = [sys.executable, "-m", "experiments.benchmarks.sweeps"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def looped(config: Config, sweep: Sweep) -> Callable[[], float]:
    """A loop over members and steps, each a call of one program; returns what gives its seconds for a member."""

    def one(state: Any, batch: Any, h: Any, key: jax.Array) -> Any:
        return update(sweep.loss, adam(h), state, batch, key, given=h)

    step = Program(one, "step", donate_argnums=(0,))
    members = sweep.begin(points(config)[: config.looped])

    def seconds() -> float:
        began = time.perf_counter()
        for i in range(config.looped):
            _, state, batches = sweep.alone(members, i)
            h, key = jax.tree.map(lambda x, i=i: x[i], members.values), path_key(jax.random.key(i), "noise")
            for k in range(config.steps):
                state, _ = step(state, batches[k], h, key)
            jax.block_until_ready(state.params)
        return (time.perf_counter() - began) / config.looped

    seconds()  # compiles
    return seconds


def swept(config: Config, sweep: Sweep) -> float:
    """Seconds of a sweep for a member."""
    began = time.perf_counter()
    sweep.train(sweep.begin(points(config)), config.steps)
    return (time.perf_counter() - began) / config.members


def main(config: Config) -> None:
    """Measures, and prints what a member takes in each way, and the ratios."""
    if config.alone is not None:
        alone(config, config.alone)
        return
    sweep = sweep_of(config)
    all_in, loop = swept(config, sweep), looped(config, sweep)
    rounds = [(swept(config, sweep), loop()) for _ in range(config.rounds)]
    own = min(seconds for seconds, _ in rounds)
    processes = [process(config, i * config.members // config.processes) for i in range(config.processes)]
    fresh, ratios = statistics.mean(processes), sorted(theirs / ours for ours, theirs in rounds)
    ratio = Ratio(statistics.median(ratios), ratios[0], ratios[-1])
    say(f"{config.task}: {config.members} members, {config.steps} steps of {config.batch_size} images")
    say(f"a member of the sweep: {1e3 * own:.1f} ms; with all compilation: {1e3 * all_in:.1f} ms")
    say(f"one in a loop: {1e3 * min(theirs for _, theirs in rounds):.1f} ms; loop / sweep: {ratio}")
    say(f"a process: {fresh:.2f} s ({min(processes):.2f}-{max(processes):.2f}, {config.processes} measured)")
    say(f"processes / sweep, compilation included: {fresh / all_in:.1f}")


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
