"""Learning-rate range test: what one run with a rising rate says, beside what whole runs say of every rate.

Data      Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017); a fifth of what trains validates.
Network   784-128-64-10, ReLU.
Training  stochastic gradient descent with momentum 0.9, batches of 64. The test ("Cyclical Learning Rates for Training
          Neural Networks", Smith, 2017): the rate rises from 1e-4 to 10, by the same factor at each of 200 steps. The
          truth: 48 rates, each for 600 steps and by each of four seeds, as one program.
Advice    by the rule of thumb, a tenth of the rate at which the smoothed loss of the test is least; the median over
          four seeds. Regret is what validates by the rate next to it, less what does by the best one.
Run       python -m experiments.rate_range
Measured  the advice is 0.013, where 0.459 validates; the best of 48 rates is 0.036, with 0.441: a regret of 0.018. From
          0.2 on, runs learn nothing, and those of the test break down. 50 seconds of one busy core.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments import datasets, pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from jnn.models import mlp, mlp_spec
from jnn.sweep import Found, GridSampler, LogUniform, Repeats, SuccessiveHalving, Sweep, search
from jnn.train import LossOutput

SIZES = (784, 128, 64, 10)
LOW, HIGH, SMOOTHING = 1e-4, 10.0, 0.9


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """One rising rate, and every rate by itself."""

    steps: int = 600  # of a rate by itself
    workdir: str = "runs/rate_range"
    batch_size: int = 64
    test_steps: int = 200  # of the rising rate
    points: int = 48  # rates
    seeds: int = 4


def loss(params: Any, batch: Any, ctx: Any) -> LossOutput:
    """Cross-entropy."""
    return LossOutput(jnn.losses.cross_entropy(mlp(params, batch["x"], key=None), batch["y"]), batch["weight"])


def sweep_of(config: Config, data: datasets.Data, rate: Callable[[Any], Any]) -> Sweep:
    """Runs whose rate, a number or a function of the step, is made of their hyperparameters."""
    sgd = lambda h: optax.sgd(rate(h), momentum=0.9)
    return Sweep(mlp_spec(SIZES), loss, sgd, data.train, config.batch_size)


def range_test(config: Config, data: datasets.Data) -> tuple[np.ndarray, np.ndarray]:
    """Rates (steps,), and smoothed losses (seeds, steps) of runs in which they rise; NaN of one that broke down."""
    growth = (HIGH / LOW) ** (1 / max(config.test_steps - 1, 1))
    sweep = sweep_of(config, data, lambda h: lambda step: h["first"] * h["growth"] ** step)
    members, losses = sweep.begin([{"first": LOW, "growth": growth}] * config.seeds), []
    for _ in range(config.test_steps):
        members, metrics = sweep.train(members, 1)
        losses.append(metrics["loss"])
    return LOW * growth ** np.arange(config.test_steps), smoothed(np.stack(losses, 1))


def smoothed(losses: np.ndarray) -> np.ndarray:
    """Exponential averages along the last axis, without the bias of their beginning.

    >>> smoothed(np.array([[2.0, 2.0, 2.0]])).round(6).tolist()
    [[2.0, 2.0, 2.0]]
    """
    average, found = np.zeros(losses.shape[:-1]), []
    for step in range(losses.shape[-1]):
        average = SMOOTHING * average + (1 - SMOOTHING) * losses[..., step]
        found.append(average / (1 - SMOOTHING ** (step + 1)))
    return np.stack(found, -1)


def every_rate(config: Config, data: datasets.Data) -> Found:
    """Each rate by itself, by each of some runs; all of them one search without a choice."""
    space = {"learning_rate": LogUniform(LOW, HIGH), "run": Repeats(config.seeds)}
    sweep = sweep_of(config, data, lambda h: h["learning_rate"])
    plan = SuccessiveHalving(config.points * config.seeds, (config.steps,))
    where = {"folder": Path(config.workdir) / "sweep", "seed": config.seed, "save_seconds": config.save_seconds}
    return search(sweep, space, plan, GridSampler(space, points=config.points), data.validation, **where)


def by_rate(config: Config, found: Found) -> tuple[np.ndarray, np.ndarray]:
    """Rates (n,), and validation losses (n, runs)."""
    numbers = np.arange(config.points * config.seeds).reshape(config.points, config.seeds)
    rates = [found.values(int(row[0]))["learning_rate"] for row in numbers]
    return np.array(rates), np.array([[found.value(int(number)) for number in row] for row in numbers])


def advised(tested: np.ndarray, curves: np.ndarray) -> float:
    """The rule of thumb: a tenth of the rate (steps,) at which a smoothed loss (seeds, steps) is least, the median."""
    return float(np.median([tested[np.nanargmin(curve)] for curve in curves])) / 10


def regret(advice: float, rates: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    """How far behind the best of the rates (n,) the advice is, by validation losses (n, runs)."""
    means = np.where(np.isfinite(losses).all(1), losses.mean(1), np.inf)
    best, near = int(means.argmin()), int(np.abs(np.log(rates / advice)).argmin())
    return {
        "advice": advice,
        "best_rate": rates[best],
        "advice_loss": means[near],
        "best_loss": means[best],
        "regret": means[near] - means[best],
        "broken_down": int((~np.isfinite(losses)).sum()),
    }


def experiment(config: Config) -> Outcome:
    """The test, the truth, and how far the one is from the other."""
    data = datasets.mnist(config.data_dir, "fashion_mnist")
    data = data._replace(train={name: jnp.asarray(x) for name, x in data.train.items()})
    tested, curves = range_test(config, data)
    found = every_rate(config, data)
    rates, losses = by_rate(config, found)
    advice = advised(tested, curves)
    drawn = partial(draw, tested, curves, rates, losses, advice)
    _, members = found.member(found.ranking()[0])
    figures = {"One run with a rising rate, and every rate by itself.": drawn}
    return Outcome(members.state.params, regret(advice, rates, losses), figures=figures)


def draw(tested: np.ndarray, curves: np.ndarray, rates: np.ndarray, losses: np.ndarray, advice: float) -> Figure:
    """Losses over rates: of the test, a line a seed, and of whole runs, a point each."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for i, curve in enumerate(curves):
        axes.plot(tested, curve, color=pictures.WARM, alpha=0.6, label=None if i else "the test: training loss")
    axes.plot(rates, losses.mean(1), color=pictures.ACCENT)
    flat = np.repeat(rates, losses.shape[1])
    axes.plot(flat, losses.ravel(), ".", color=pictures.ACCENT, markersize=3, label="whole runs: validation loss")
    axes.axvline(advice, color=pictures.INK, linewidth=0.8, linestyle=":", label="the test's advice")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0.95 * np.nanmin(losses), 2.6))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return figure


if __name__ == "__main__":
    launch(experiment, Config)
