"""A small CNN made smaller: pruned at once or gradually, by whole channels, of low rank, distilled, of shared values.

Data      MNIST (LeCun et al., 1998), or CIFAR-10 (Krizhevsky, 2009) with crops and flips. Nothing is chosen, so what
          validates elsewhere is left aside; the test set is looked at once, by all that is in the table.
Network   convolutions of 3x3 with 2x2 max pooling and a dense layer, as in `cifar10`, without dropout.
Methods   dense: tuned as long as what is made of it. one_shot: the least weights of all layers at once ("Learning both
          Weights and Connections for Efficient Neural Networks", Han et al., 2015). gradual: by a cubic schedule ("To
          Prune, or Not to Prune", Zhu and Gupta, 2017). channels: those of the least norm, taken out ("Pruning Filters
          for Efficient ConvNets", Li et al., 2017). low_rank: the dense layer by its singular values ("Exploiting
          Linear Structure Within Convolutional Networks", Denton et al., 2014). small: fewer channels from the
          beginning. distilled: these, taught ("Distilling the Knowledge in a Neural Network", Hinton et al., 2015).
          shared: 4 or 2 bits a weight. deep: 4 bits over what is pruned ("Deep Compression", Han et al., 2016).
Training  Adam, cosine from 1e-3 to 0, batches of 64; of what is made of the dense from 5e-4, in fewer steps.
Run       python -m experiments.prune
          python -m experiments.prune --dataset cifar10 --channels 32 64 --dense 512 --steps 1000 --tuning-steps 200
Measured  test accuracy and kilobytes of the dense, and of deep and low_rank used weakly. MNIST, two seeds: 0.987, 1636;
          0.985, 41; 0.986, 264. CIFAR-10, one seed, two passes: 0.543, 8489; 0.532, 206; 0.540, 690. All of them, and
          their times: `docs/compression.md`. Two and a half minutes of one core, and seven.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, get_args

import jax
import optax

from experiments import datasets, footprints, small_images
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.shrinking import METHODS, Trained
from experiments.training import classified, named, train
from jnn.data import Batches
from jnn.losses import distillation_loss
from jnn.models import cnn, cnn_spec

IMAGES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
Method = Literal["dense", "one_shot", "gradual", "channels", "low_rank", "small", "distilled", "shared", "deep"]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """A small CNN made smaller."""

    steps: int = 1500  # of the dense network, and of the small ones
    tuning_steps: int = 300  # of what is made of it
    workdir: str = "runs/prune"
    dataset: Literal["mnist", "cifar10"] = "mnist"
    methods: tuple[Method, ...] = get_args(Method)
    batch_size: int = 64
    learning_rate: float = 1e-3
    tuned_rate: float = 5e-4
    channels: tuple[int, ...] = (16, 32)
    dense: int = 256
    temperature: float = 4.0  # of the teacher
    repeats: int = 15  # of each measurement of time
    timed: Literal["yes", "no"] = "yes"


def network_spec(config: Config, share: float) -> dict:
    """Declares the network, with a share of its channels."""
    *widths, dense = (max(1, round(share * n)) for n in (*config.channels, config.dense))
    return cnn_spec(IMAGES[config.dataset], widths, dense, 10)


def network(p: Any, x: jax.Array, config: Config, key: jax.Array | None = None) -> jax.Array:
    """Images as they are stored to logits."""
    if config.dataset == "mnist":
        return cnn(p, x.reshape(-1, *IMAGES["mnist"]), key=None)
    return cnn(p, datasets.scale_images(x if key is None else small_images.augment(x, key)), key=None)


def loss(params: Any, batch: dict, ctx: Any, config: Config, whole: Any):
    """Cross-entropy of the network that `whole` makes of what is trained and given; of a teacher mostly its answers."""
    logits = network(whole(params, ctx.given), batch["x"], config, ctx.key)
    out = classified(logits, batch)
    if "teacher" not in (ctx.given or {}):
        return out
    told = network(ctx.given["teacher"], batch["x"], config, ctx.key)  # of the same crops
    return out._replace(values=0.1 * out.values + 0.9 * distillation_loss(logits, told, temperature=config.temperature))


def fitted(config: Config, batches: Batches, history: list, name: str, spec: Any, start: Any = None, **how: Any):
    """The state of a network that was trained from the beginning, or tuned from a start."""
    steps, rate = (config.steps, config.learning_rate) if start is None else (config.tuning_steps, config.tuned_rate)
    optimizer = optax.chain(optax.adam(optax.cosine_decay_schedule(rate, steps)), *how.pop("behind", ()))
    own = partial(loss, config=config, whole=how.pop("whole", lambda params, given: params))
    run = dataclasses.replace(config, steps=steps)
    state, rows = train(run, spec, own, optimizer, batches, every=max(1, steps // 5), name=name, start=start, **how)
    history += named(rows, name)
    return state


def experiment(config: Config) -> Outcome:
    """Trains the dense network, makes it smaller in each way, and measures all of them."""
    data = datasets.mnist(config.data_dir) if config.dataset == "mnist" else datasets.cifar10(config.data_dir)
    history: list[dict[str, float]] = []
    fit = partial(fitted, config, Batches(data.train, config.batch_size, seed=config.seed), history)
    spec_of = partial(network_spec, config)
    net = Trained(fit("first", spec_of(1.0)).params, spec_of, fit, config.tuning_steps)
    found = {(name, left): one for name in config.methods for left, one in METHODS[name](net)}
    rows = footprints.measure(
        found, partial(network, config=config), data.test, config.repeats * (config.timed == "yes")
    )
    metrics = {name: [row[name] for row in rows] for name in rows[0]}
    figures = {"Errors on the test by size; dotted: the dense network's.": partial(footprints.draw, rows)}
    return Outcome({f"{name} {left}": one.p for (name, left), one in found.items()}, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
