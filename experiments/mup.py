"""The best learning rate at 64 wide is near that of a network eight times as wide: maximal update parametrization.

Source    "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", Yang et al., 2022.
Data      gpt: the characters of Shakespeare's plays, of whose last tenth 512 windows validate; cnn: Fashion-MNIST at
          14x14 pixels, of whose 60,000 2,000 validate. No test set is looked at.
Networks  gpt: 2 layers of heads of 16 (the wider, the more), context 32, tied read-out; cnn: two convolutions of a
          fourth and half the width, and a dense layer. Once as they are, once by `jnn.mup` from the narrowest.
Training  Adam (0.9, 0.99), its rate falling to 0; all rates side by side in one program, each with draws of its own.
Run       python -m experiments.mup                                                     five minutes of a CPU core
          python -m experiments.mup --widths 64 512                                     seven; more rates in docs/mup.md
          python -m experiments.mup --widths 64 128 256 512 --steps 1000                an accelerator; not measured
Measured  the best rate at 64 costs a GPT of 256 0.571 and 0.285 of its loss, by muP nothing; one of 512 0.680
          and 0.454, by muP nothing and 0.066; a CNN of 256 0.202 and 0.158, by muP 0.022 and 0.004, one of 512 0.224
          and 0.050, by muP 0.093 and nothing (seeds 0 and 1; more in docs/mup.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Literal

import jax
import numpy as np
import optax

import jnn
from experiments import width_pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.refusals import refuse
from experiments.training import train
from experiments.widths import HEAD, KINDS, Task, coordinates, make_task, parametrized
from jnn.launch import USAGE
from jnn.maximal_update import MaximalUpdate, multiplied, scale_by_rates
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """The best learning rate at several widths, with maximal update parametrization and without."""

    steps: int = 100
    workdir: str = "runs/mup"
    networks: tuple[Literal["gpt", "cnn"], ...] = ("gpt", "cnn")
    widths: tuple[int, ...] = (64, 128, 256)  # multiples of 16; the first is the one that is tuned
    rates: tuple[float, ...] = tuple(2.0**-i for i in range(11, 4, -1))
    batch_size: int = 16
    context: int = 32


def train_all(task: Task, config: Config, kind: str, width: int, name: str) -> np.ndarray:
    """Validation losses of a network at every rate; those that are no number are infinite."""
    scaled, members = parametrized(task, kind, width, config.widths[0]), len(config.rates)

    def loss(params, batch, ctx):
        one = lambda p: jnn.losses.cross_entropy(task.apply(multiplied(p, scaled.multipliers), batch["x"]), batch["y"])
        values = jax.lax.map(one, params)
        weight = batch.get("weight")
        metrics = {f"loss_{i}": jnn.metrics.mean(values[i], weight) for i in range(members)}
        return LossOutput(values.sum(0), weight, metrics=metrics)

    spec = jnn.stack(scaled.spec, members, "member")
    how = {"every": config.steps, "validation": task.validation, "name": name}
    _, history = train(config, spec, loss, optimizer(scaled, config, config.rates), task.batches, **how)
    return np.nan_to_num([history[-1][f"val/loss_{i}"] for i in range(members)], nan=np.inf)


def optimizer(scaled: MaximalUpdate, config: Config, rates: Sequence[float]) -> optax.GradientTransformation:
    """Adam, each member's updates times its own rate, which falls to 0."""
    of_members = lambda u: u * np.asarray(rates, np.float32).reshape(-1, *(1,) * (u.ndim - 1))
    return optax.chain(
        optax.scale_by_adam(b2=0.99),
        scale_by_rates(scaled.rates),
        optax.stateless(lambda updates, params: jax.tree.map(of_members, updates)),
        optax.scale_by_schedule(optax.linear_schedule(-1.0, 0.0, config.steps)),
    )


def experiment(config: Config) -> Outcome:
    """Trains at every width and rate, in both parametrizations."""
    if any(width % HEAD for width in config.widths):
        refuse(f"--widths: expected multiples of {HEAD}, the size of a head, found {config.widths}.", USAGE)
    losses, checks, middle = {}, {}, config.rates[len(config.rates) // 2]
    for network in config.networks:
        task = make_task(network, config)
        base = train_all(task, config, "standard", config.widths[0], f"{network}-base")  # the same in both
        for kind in KINDS:
            wider = [train_all(task, config, kind, w, f"{network}-{kind}-{w}") for w in config.widths[1:]]
            losses[network, kind] = np.stack([base, *wider])
            checks[network, kind] = coordinates(task, kind, config.widths, middle, config.seed)
    found = [transfer(which, of_widths, config) for which, of_widths in losses.items()]
    drawn = partial(width_pictures.sweeps, losses, config.rates, config.widths)
    return Outcome(
        params={"losses": {"_".join(which): of_widths for which, of_widths in losses.items()}},
        metrics={name: value for row in found for name, value in row.items()},
        figures={
            "Validation loss by rate, a line a width: the best rate moves; by muP it does not.": drawn,
            "Coordinate check: what 1 to 4 steps have changed of the logits, by width.": partial(
                width_pictures.coordinates, checks
            ),
        },
    )


def transfer(which: tuple[str, str], losses: np.ndarray, config: Config) -> dict[str, float]:
    """The best rate of each width, and what a network loses by the best rate of the narrowest."""
    best, name = losses.argmin(1), "_".join(which)
    found = {}
    for i, width in enumerate(config.widths):
        found[f"{name}_{width}_rate"] = float(config.rates[best[i]])
        found[f"{name}_{width}_loss"] = float(losses[i].min())
        found[f"{name}_{width}_regret"] = float(losses[i, best[0]] - losses[i].min())
    return found


if __name__ == "__main__":
    launch(experiment, Config)
