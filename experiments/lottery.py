"""Lottery tickets: a pruned network that is trained from its own first values, and the same from others.

Data      MNIST (LeCun et al., 1998); a fifth of what trains validates.
Network   784-300-100-10, ReLU ("The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks", Frankle and
          Carbin, 2019).
Training  Adam 1.2e-3, batches of 60, 1,000 steps.
Tickets   train; of each layer a fifth of the weights that are left, the least, is pruned (a tenth of the last); what is
          left goes back to its first values, and all begins again. Beside each, the same mask with first values drawn
          anew. A mask is what a member of a sweep reads: all seeds, tickets and redrawn, are one program.
Run       python -m experiments.lottery
Measured  test accuracy, four seeds of each. Tickets 0.968+-0.003 whole, 0.974+-0.001 with 21 % of the weights, 0.970
          with 7 %, 0.963+-0.001 with 3.6 %; redrawn 0.962+-0.005 whole (that is chance: nothing is pruned yet),
          0.946+-0.002, 0.935+-0.001 and 0.930+-0.004. Two minutes of one busy core.
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
from matplotlib.figure import Figure

from experiments import datasets, pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import with_accuracy
from jnn.compression import masked, prune
from jnn.models import mlp, mlp_spec
from jnn.sweep import Members, Sweep, join
from jnn.train import Checkpoints, LossOutput

SIZES, RATE = (784, 300, 100, 10), 1.2e-3
PRUNED = {"fc0": 0.2, "fc1": 0.2, "fc2": 0.1}  # of a layer's weights, each time
REDRAWN = 1000  # a ticket's seed and this are the other's
Masks = dict[str, np.ndarray]  # of layers: (members, in, out), 1 for what is left


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Tickets that win, and the same with other first values."""

    steps: int = 1000  # of each training
    workdir: str = "runs/lottery"
    batch_size: int = 60
    depth: int = 15  # how often they are pruned
    seeds: int = 4


def loss(params: Any, batch: Any, ctx: Any) -> LossOutput:
    """Cross-entropy of the masked network."""
    ticket = masked(params, {name: {"w": mask} for name, mask in ctx.given.items()})
    return with_accuracy(mlp(ticket, batch["x"], key=None), batch)


def pruned(weights: np.ndarray, mask: np.ndarray, share: float) -> np.ndarray:
    """The mask without a share of the weights that are left: those of the least magnitude.

    >>> pruned(np.array([0.1, -3.0, 2.0, 0.5]), np.array([1.0, 1.0, 1.0, 0.0]), 0.34).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    left = mask.sum() - int(share * mask.sum())
    return np.asarray(prune(np.abs(weights), float(1 - left / mask.size), masks=mask), mask.dtype)


def train_round(config: Config, sweep: Sweep, masks: Masks) -> Members:
    """Tickets from their own first values, and behind them the same masks with others."""
    seeds = [config.seed + i for i in range(config.seeds)]
    points = [{name: mask[i] for name, mask in masks.items()} for i in range(config.seeds)]
    begun = join(sweep.begin(points, seeds), sweep.begin(points, [REDRAWN + seed for seed in seeds]))
    return sweep.train(begun, config.steps)[0]


def next_masks(members: Members, masks: Masks) -> Masks:
    """Those of the tickets, without what was least in them."""
    weights = {name: np.asarray(layer["w"]) for name, layer in members.state.params.items()}
    return {
        name: np.stack([pruned(weights[name][i], one, PRUNED[name]) for i, one in enumerate(mask)])
        for name, mask in masks.items()
    }


def rounds(config: Config, sweep: Sweep, data: datasets.Data) -> tuple[Masks, list[dict[str, Any]]]:
    """The last masks; a row for each round: what share is left, and test accuracies of tickets and of the redrawn."""
    spec = {name: layer["w"].shape for name, layer in sweep.spec.items()}
    masks, rows = {name: np.ones((config.seeds, *shape), np.float32) for name, shape in spec.items()}, []
    with Checkpoints(Path(config.workdir) / "rounds") as checkpoints:
        if saved := checkpoints.restore(_state(0, masks)):
            masks, rows = jax.tree.map(np.asarray, saved.state["masks"]), saved.records["rows"]
        for done in range(len(rows), config.depth + 1):
            members = train_round(config, sweep, masks)
            tested = sweep.evaluate(members, data.test)["accuracy"].reshape(2, config.seeds)
            left = sum(mask.sum() for mask in masks.values()) / sum(mask.size for mask in masks.values())
            rows.append({"left": float(left), "ticket": tested[0].tolist(), "redrawn": tested[1].tolist()})
            masks = next_masks(members, masks)
            checkpoints.save(_state(done + 1, masks), {"rows": rows})
    return masks, rows


def _state(step: int, masks: Masks) -> dict[str, Any]:
    return {"step": jnp.int32(step), "masks": jax.tree.map(jnp.asarray, masks)}


def experiment(config: Config) -> Outcome:
    """Prunes again and again, and tests all that is left."""
    data = datasets.mnist(config.data_dir)
    sweep = Sweep(mlp_spec(SIZES), loss, lambda h: optax.adam(RATE), data.train, config.batch_size)
    masks, rows = rounds(config, sweep, data)
    left = np.array([row["left"] for row in rows])
    found = {kind: np.array([row[kind] for row in rows]) for kind in ("ticket", "redrawn")}
    metrics = {"left": left} | {kind: values.mean(1) for kind, values in found.items()}
    metrics |= {f"{kind}_deviation": values.std(1, ddof=1) for kind, values in found.items() if config.seeds > 1}
    return Outcome(masks, metrics, figures={"What is left of a network, tested.": partial(draw, left, found)})


def draw(left: np.ndarray, found: dict[str, np.ndarray]) -> Figure:
    """Test accuracy by the share of weights that is left: mean, and from the least to the most of the seeds."""
    figure, axes = pictures.framed(6.4, 4.2)
    names = {"ticket": "from its own first values", "redrawn": "the same mask, other first values"}
    for (kind, name), colour in zip(names.items(), (pictures.ACCENT, pictures.WARM), strict=True):
        values = found[kind]
        axes.plot(100 * left, values.mean(1), marker="o", markersize=4, color=colour, label=name)
        axes.fill_between(100 * left, values.min(1), values.max(1), color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", xlabel="weights that are left, %", ylabel="test accuracy")
    ticks = [100, 50, 20, 10, 5, 2]
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    launch(experiment, Config)
