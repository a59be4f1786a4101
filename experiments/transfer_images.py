"""Transfer learning: CIFAR-10 from a few labels, by published networks, frozen or fine-tuned, and from scratch.

Data      CIFAR-10 (Krizhevsky, 2009): 500 or 5,000 labels, 1 and 10 % of all, as many of each class, drawn by the seed;
          a fifth of these validates, the rest trains. --test-images of the test set, as many of each class.
Networks  EfficientNet-Lite0 (Tan and Le, 2019), which saw ImageNet with labels, and the ResNet-50 of "AugNet:
          End-to-End Unsupervised Visual Representation Learning with Image Augmentation", Chen et al., 2021, which saw
          none; images enlarged to 72x72 (at 64 the last stage sees 2x2, where XLA:CPU's convolution takes forty times
          what it does at 3x3). Beside them the network of `cifar10`, on 32x32.
Methods   frozen: a linear probe of the features, the decay of its weights validated. tuned: the last stage too (Lite0's
          last two), from the probe on ("Fine-Tuning can Distort Pretrained Features and Underperform
          Out-of-Distribution", Kumar et al., 2022); batch norms keep their statistics. What lies below is computed
          once: the maps are in the run's folder. scratch: with crops and flips, which the others do not see.
Training  Adam, cosine to 0, batches of 32: --steps of fine-tuning, six times as many from scratch. Probes by L-BFGS.
Run       python -m experiments.transfer_images            (pip install 'jnn[experiments,test]')
Measured  accuracy on 1,000 test images (one seed, its standard error 0.015), 500 and 5,000 labels: from scratch 0.428
          and 0.456; Lite0 frozen 0.615 and 0.692, tuned 0.664 and 0.721; AugNet frozen 0.410 and 0.486, tuned 0.421
          and 0.522. From scratch 5,000 labels are seen five times, too few: validation, then 0.47, is 0.55 after 1,440
          of the 1,800 steps that --steps 300 takes, and rises. The rate of fine-tuning was not searched. Four minutes
          of one CPU core; 420 MB of maps and features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import cifar10, datasets, heatmaps, small_images
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.probes import Probe, linear_probe
from experiments.small_images import CIFAR10
from experiments.training import classified, named, train
from experiments.trunks import TRUNKS, Trunk, cached, of_all
from jnn.data import Batches, in_order

Rows = dict[str, np.ndarray]
Fit = tuple[Any, list[dict[str, float]]]  # parameters, history


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Ten kinds of photographs from a few labels."""

    steps: int = 100
    workdir: str = "runs/transfer_images"
    networks: tuple[Literal["lite0", "augnet"], ...] = ("lite0", "augnet")
    label_counts: tuple[int, ...] = (500, 5000)
    test_images: int = 1000
    resolution: int = 72  # of images as the published networks see them
    batch_size: int = 32
    learning_rate: float = 1e-3  # from scratch
    tuned_rate: float = 1e-4
    channels: tuple[int, ...] = (32, 64)  # these three as in `cifar10`
    dense: int = 512
    dropout: float = 0.5


def parts(rows: Rows, labels: int) -> list[Rows]:
    """Of the first rows, what trains and what validates."""
    cuts = slice(labels * 4 // 5), slice(labels * 4 // 5, labels)
    return [{name: array[cut] for name, array in rows.items()} for cut in cuts]


def fitted(config: Config, spec: Any, loss: Callable, rate: float, rows: list[Rows], **how: Any) -> Fit:
    """Trains by Adam, along a cosine."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, config.steps))
    batches, held = Batches(rows[0], config.batch_size, seed=config.seed), in_order(rows[1], 100)
    every = max(1, config.steps // 5)
    state, history = train(config, spec, loss, optimizer, batches, every=every, validation=held, **how)
    return state.params, history


def tuned(config: Config, trunk: Trunk, probe: Probe, rows: list[Rows], name: str) -> tuple[Callable, Fit]:
    """The network of maps, and what comes of tuning the last stage and the probe's head."""
    network = lambda p, maps: probe.logits(p["head"], trunk.above(p["last"], maps))
    loss = lambda p, batch, ctx: classified(network(p, batch["x"]), batch)
    start = {"last": trunk.tuned(), "head": jax.tree.map(jnp.copy, probe.params)}
    return network, fitted(config, jnn.spec_of(start), loss, config.tuned_rate, rows, name=name, start=start)


def methods(config: Config, rows: Rows, test: np.ndarray) -> Iterator[tuple[str, int, Fit, np.ndarray]]:
    """Each method with each number of labels: what was trained, and the classes of test images."""
    network, loss = cifar10.make_loss(config)
    classes = lambda network: lambda p, x: network(p, x).argmax(-1)
    for n in config.label_counts:
        spec, own = cifar10.network_spec(config), parts(rows, n)
        fit = fitted(
            dataclasses.replace(config, steps=6 * config.steps),
            spec,
            loss,
            config.learning_rate,
            own,
            name=f"scratch_{n}",
        )
        yield "scratch", n, fit, of_all(classes(lambda p, x: network(p, x, None)), fit[0], test)
    for name in config.networks:
        trunk, folder, cut = TRUNKS[name](config.data_dir), Path(config.workdir) / "maps", len(rows["y"])
        images = np.concatenate([rows["x"], test])
        maps = cached(folder / f"{name}.npy", partial(trunk.below, images, config.resolution))
        features = cached(folder / f"{name}_features.npy", partial(of_all, trunk.above, trunk.tuned(), maps))
        for n in config.label_counts:
            own, held = parts({"x": features[:cut], "y": rows["y"]}, n)
            probe = linear_probe(own["x"], own["y"], held["x"], held["y"], len(CIFAR10))
            fit = probe._asdict(), []
            yield f"{name}_frozen", n, fit, of_all(classes(probe.logits), probe.params, features[cut:])
            own = parts({"x": maps[:cut], "y": rows["y"]}, n)
            network_of_maps, fit = tuned(config, trunk, probe, own, f"{name}_tuned_{n}")
            yield f"{name}_tuned", n, fit, of_all(classes(network_of_maps), fit[0], maps[cut:])


def experiment(config: Config) -> Outcome:
    """Every method on the same rows; all are tested on the same images."""
    data = datasets.cifar10(config.data_dir)
    rows = datasets.balanced(data.train, max(config.label_counts) // 10, seed=config.seed)
    test = datasets.balanced(data.test, config.test_images // 10, seed=datasets.SPLIT_SEED)
    params, history, found = {}, [], {}
    for method, n, (own, told), classes in methods(config, rows, test["x"]):
        params[f"{method}_{n}"] = own
        history += named(told, f"{method}_{n}")
        found.setdefault(method, []).append(classes)
    accuracy = {method: [float((own == test["y"]).mean()) for own in each] for method, each in found.items()}
    shares, shown = [f"{n / 500:g} %" for n in config.label_counts], slice(0, 10)
    first = {method: each[0][shown] for method, each in found.items()}
    figures = {
        "Accuracy on test images, by the share of labels.": lambda: heatmaps.bars(accuracy, shares, "accuracy"),
        f"Test images, and what they are taken for with {config.label_counts[0]:,} labels.": lambda: (
            small_images.taken_for(test["x"][shown], test["y"][shown], first, CIFAR10)
        ),
    }
    return Outcome(params, {"labels": config.label_counts} | accuracy, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
