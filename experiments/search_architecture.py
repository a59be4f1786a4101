"""Architecture search in a space that is known: DARTS, evolution and early stopping, beside all 125 trained.

Data      Fashion-MNIST at 7x7 pixels; of a fifth of what trains 1,000 images validate, of the test 2,000 test.
Network   a convolution, two cells of one architecture, means, a linear map. A cell has three edges, each with one of
          five operations (`experiments.cells`), all linear, so that a mixture of them is one convolution.
Training  Adam 1e-2, cosine to 0, batches of 32. What stands on an edge is a number that the loss reads: all 125
          architectures by four seeds are members of one program, and each is its own network, exactly.
Searches  random search; the same with successive halving; regularized evolution (Real et al., 2019), 200 times each
          on what was measured of all. DARTS ("DARTS: Differentiable Architecture Search", Liu et al., 2019), of first
          order, eight runs of four times the steps, which make two gradients each: mixtures learn on one half of what
          trains, weights on the other; Adam 3e-2 for the mixtures. It takes the likeliest operation that is not "none".
          Validation is what searches see, regret is of the test.
Run       python -m experiments.search_architecture
Measured  the best architecture tests at 0.703, the median at 0.578; runs of one have a deviation of 0.041. Behind the
          best after as much as 8 trainings: random search 0.043, evolution 0.042 (it needs 30 to be ahead), halving
          0.034, DARTS 0.068: three of its runs 0.022, the others 0.057 to 0.152. Its mixture validates at 0.802, what
          it takes of that at 0.375 with the same weights, and trained anew it tests at 0.635: what is good in a mixture
          is not what is good alone. Its shares go with the truth by a rank correlation of 0.38. Three minutes of one
          core. By two seeds each DARTS was 0.094 behind: of so short trainings few say little.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.stats import spearmanr

from experiments import datasets, search_pictures
from experiments.architecture_searches import NUMBERS, SEARCHES, Table, regret
from experiments.cells import ARCHITECTURES, EDGES, OPERATIONS, cell_network, cell_network_spec, one_hot
from experiments.darts import bilevel_loss, bilevel_spec, chosen, discrete, in_halves
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.plans import EachItsLength
from experiments.small_images import halve
from experiments.training import train, with_accuracy
from jnn.data import Batches, in_order
from jnn.sweep import Choice, Found, GridSampler, Members, Repeats, Sweep, search
from jnn.train import LossOutput

VALIDATE, TEST = 1000, 2000  # images
LONGER = 4  # DARTS makes so many times the steps of a training
NAMES = tuple(f"edge{i}{j}" for i, j in EDGES)
Part = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Searches of an architecture, and all there are."""

    steps: int = 256  # of a training
    workdir: str = "runs/search_architecture"
    maps: int = 8  # channels
    batch_size: int = 32
    learning_rate: float = 1e-2
    mixture_rate: float = 3e-2
    seeds: int = 4  # of each architecture
    runs: int = 8  # of DARTS
    repeats: int = 200  # of the other searches


def parts(config: Config) -> tuple[Part, Part, Part]:
    """What trains, validates and tests, x (n, 7, 7, 1)."""
    data = datasets.mnist(config.data_dir, "fashion_mnist")
    small = lambda part, rows: {
        "x": halve(halve(part["x"][:rows].reshape(-1, 28, 28, 1))),
        "y": part["y"][:rows],
    }
    return small(data.train, None), small(data.validation, VALIDATE), small(data.test, TEST)


def loss(params: Any, batch: Any, ctx: Any) -> LossOutput:
    """Of the architecture that is given."""
    return with_accuracy(cell_network(params, batch["x"], one_hot([ctx.given[name] for name in NAMES])), batch)


def adam(config: Config, steps: int) -> optax.GradientTransformation:
    """For weights."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, steps))


def looks(steps: int) -> tuple[int, ...]:
    """Steps after which members are measured: an eighth of all, a fourth, half, all."""
    return tuple(sorted({max(1, steps // 2**k) for k in range(4)}))


def searched(config: Config, name: str, sweep: Sweep, space: Any, steps: int, validation: Part) -> Found:
    """All of a space, trained for so many steps, in a folder of this name."""
    sampler = GridSampler(space, points=1)
    plan = EachItsLength(len(sampler.points), looks(steps))
    where = {"folder": Path(config.workdir) / name, "seed": config.seed, "save_seconds": config.save_seconds}
    return search(sweep, space, plan, sampler, validation, metric="accuracy", mode="max", **where)


def members_of(found: Found) -> Members:
    """All members of a search without structure."""
    return next(iter(found.store.groups.values())).members


def all_of_them(config: Config, training: Part, validation: Part, test: Part) -> Table:
    """Every architecture by every seed, as one search without a choice."""
    spec, optimizer = cell_network_spec(config.maps), lambda h: adam(config, config.steps)
    sweep = Sweep(spec, loss, optimizer, training, config.batch_size)
    space = {name: Choice(*range(len(OPERATIONS))) for name in NAMES} | {"run": Repeats(config.seeds)}
    found = searched(config, "all", sweep, space, config.steps, validation)
    curves = np.stack([row["validation"]["accuracy"] for row in found.log.rows], -1)
    tested = sweep.evaluate(members_of(found), test)["accuracy"].reshape(len(ARCHITECTURES), config.seeds)
    return Table(np.array(looks(config.steps)), curves.reshape(*tested.shape, -1), tested.mean(1))


def darts(config: Config, training: Part, validation: Part) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures (runs, edges, operations) of DARTS; accuracies (2, runs) of the mixture and of what is chosen of it."""
    rates = {"weights": adam(config, LONGER * config.steps), "mixtures": optax.adam(config.mixture_rate, b1=0.5)}
    optimizer = lambda h: optax.multi_transform(rates, {name: name for name in rates})
    sweep = Sweep(bilevel_spec(config.maps), bilevel_loss, optimizer, in_halves(training), config.batch_size)
    space = {"run": Repeats(config.runs)}
    members = members_of(searched(config, "darts", sweep, space, LONGER * config.steps, validation))
    found = np.asarray(jax.nn.softmax(jnp.asarray(members.state.params["mixtures"])))
    return found, np.stack([sweep.evaluate(one, validation)["accuracy"] for one in (members, discrete(members))])


def winner(config: Config, architecture: Any, training: Part, test: Part) -> tuple[Any, list[dict[str, float]]]:
    """An architecture as an ordinary run, over whatever mesh."""
    given = {name: jnp.float32(operation) for name, operation in zip(NAMES, architecture, strict=True)}
    return train(
        config,
        cell_network_spec(config.maps),
        lambda params, batch, ctx: loss(params, batch, ctx._replace(given=given)),
        adam(config, config.steps),
        Batches(training, config.batch_size, seed=config.seed),
        every=max(1, config.steps // 8),
        validation=in_order(test, 1000),
        name="winner",
    )


def experiment(config: Config) -> Outcome:
    """Trains all, lets searches look for the best of them, and DARTS in its own way."""
    training, validation, test = parts(config)
    if config.preflight.machine is not None:
        winner(config, ARCHITECTURES[-1], training, test)
    table = all_of_them(config, training, validation, test)
    mixtures, accuracies = darts(config, training, validation)
    costs, rng = np.arange(1.0, len(ARCHITECTURES) + 1), np.random.default_rng(config.seed)
    regrets = {
        name: np.stack([regret(table, one(table, rng), costs) for _ in range(config.repeats)])
        for name, one in SEARCHES.items()
    }
    best = int(table.validation[:, :, -1].mean(1).argmax())
    state, history = winner(config, ARCHITECTURES[best], training, test)
    shares = np.log(mixtures)[:, np.arange(len(EDGES)), np.array(ARCHITECTURES)].sum(-1)  # (runs, architectures)
    picks = [NUMBERS[tuple(one)] for one in chosen(mixtures).tolist()]
    figures = {
        "How far what a search thinks best is behind what is.": partial(
            search_pictures.regrets, costs, regrets, 2 * LONGER, table.test.max() - table.test[picks]
        ),
        "All architectures: what is true of each, and what DARTS makes of it.": partial(
            search_pictures.ranks, table.test, shares, picks
        ),
    }
    return Outcome(state.params, summary(table, regrets, shares, picks, accuracies), history, figures)


def summary(table: Table, regrets: Any, shares: np.ndarray, picks: list[int], accuracies: np.ndarray) -> dict[str, Any]:
    """What is best, how far searches are behind it after as much as DARTS spends, and what DARTS misses."""
    best = int(table.test.argmax())
    found = {"best": told(best), "best_test": table.test[best], "median_test": np.median(table.test)}
    found |= {f"{name.replace(' ', '_')}_regret": np.nanmean(x[:, 2 * LONGER - 1]) for name, x in regrets.items()}
    behind = table.test[best] - table.test[picks]
    found |= {"darts_regret": behind.mean(), "darts_worst": behind.max(), "darts": [told(pick) for pick in picks]}
    found["darts_rank"] = [int((table.test > table.test[pick]).sum()) + 1 for pick in picks]
    found["darts_correlation"] = np.mean([spearmanr(table.test, one).statistic for one in shares])
    found |= {"darts_mixed": accuracies[0].mean(), "darts_alone": accuracies[1].mean()}
    return found | {"darts_trained": table.test[picks].mean()}


def told(number: int) -> str:
    """An architecture's operations, edge by edge."""
    return ", ".join(OPERATIONS[operation] for operation in ARCHITECTURES[number])


if __name__ == "__main__":
    launch(experiment, Config)
