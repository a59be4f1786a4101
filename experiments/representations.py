"""What the features of a network are worth: linear probes, networks that begin with them, and pictures.

from_scratch(config, name, encoder, data)       a network of this kind that has labels alone; the probe of one as drawn
from_features(config, name, encoder, data)      the probe of frozen features; the network tuned with few labels
figures(...)                                    both as bars, nearest neighbours, and what a masked autoencoder draws
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jnn
from experiments import pictures
from experiments.datasets import Data, scale_images
from experiments.probes import features, linear_probe
from experiments.small_images import CIFAR10, augment, whole
from experiments.training import classified, evaluate, train
from jnn import layers, models
from jnn.data import Batches, in_order
from jnn.initializers import zeros
from jnn.train import LossOutput

ROWS, SHOWN, DRAWN = 64, 2000, 8  # of a batch with labels; test images with neighbours, and those that are drawn


class Encoder(NamedTuple):
    """A network from images to features: its declaration, what it has learned, and the pixels that it sees."""

    spec: dict
    params: dict
    stats: Any
    size: int

    def points(self, x: np.ndarray) -> np.ndarray:
        """Images (n, y, x, 3) in 0..255 to features (n, d)."""
        return features(jax.jit(lambda x: encode(self.params, whole(x, self.size), self.stats)[0]), x)


def encode(p: dict, x: jax.Array, stats: Any = None) -> tuple[jax.Array, Any]:
    """Images (..., y, x, 3) in 0..1 to features (..., d), and the statistics used."""
    x = scale_images(255 * x)
    return (models.vit(p, x, key=None), {}) if "patch" in p else models.resnet(p, x, stats, key=None)


def stats_spec(encoder: dict) -> dict | None:
    """Declares the running statistics of a residual network; a vision transformer has none."""
    return None if "patch" in encoder else models.batch_stats_spec(encoder)


def optimizer(config: Any, steps: int) -> optax.GradientTransformation:
    """AdamW, with a tenth of the steps to warm up and a cosine down to 0."""
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, steps // 10, steps)
    return optax.adamw(rate, weight_decay=config.weight_decay)


def labels_loss(params: dict, batch: dict, ctx: Any, size: int) -> LossOutput:
    """Cross-entropy; in training of another view of each image."""
    x = batch["x"] if ctx.key is None else augment(batch["x"], ctx.key)
    h, seen = encode(params["encoder"], whole(x, size), ctx.stats)
    return classified(layers.linear(params["head"], h), batch)._replace(stats=seen)


def tuned(config: Any, name: str, encoder: Encoder, data: Data, rows: int, steps: int, *, begun: bool) -> float:
    """Test accuracy of a network that was trained with the labels of the first rows, from features or from scratch."""
    width = jax.eval_shape(partial(encode, encoder.params), jnp.zeros((1, encoder.size, encoder.size, 3)))[0].shape[-1]
    spec = {"encoder": encoder.spec, "head": layers.linear_spec(width, len(CIFAR10), init=zeros)}
    loss = partial(labels_loss, size=encoder.size)
    head = jnn.init(spec["head"], jax.random.key(config.seed))
    state, _ = train(
        dataclasses.replace(config, steps=steps),
        spec,
        loss,
        optimizer(config, steps),
        Batches(first(data.train, rows), min(ROWS, rows), seed=config.seed, drop_last=True),
        every=steps,
        validation=in_order(data.validation, 500),
        stats=stats_spec(encoder.spec),
        start={"encoder": encoder.params, "head": head} if begun else None,
        name=name,
    )
    return float(evaluate(loss, state, in_order(data.test, 500))["accuracy"].value())


def first(part: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The first rows; the order is that of the files, in which classes are mixed."""
    return {name: array[:rows] for name, array in part.items()}


def probes(config: Any, encoder: Encoder, data: Data) -> dict[str, float]:
    """Test accuracy of linear probes of the features, with many labels and with few."""
    known = first(data.train, config.labels)
    train, held, test = (encoder.points(part["x"]) for part in (known, data.validation, data.test))
    found = {}
    for name, rows in (("probe", config.labels), ("probe_few", config.few)):
        probe = linear_probe(train[:rows], known["y"][:rows], held, data.validation["y"], len(CIFAR10))
        found |= {name: probe.accuracy(test, data.test["y"]), f"{name}_validation": probe.validated}
    return found


def from_scratch(config: Any, name: str, encoder: Encoder, data: Data) -> dict[str, float]:
    """What labels alone make of a network like this one; and what its features are worth before any training."""
    stats = stats_spec(encoder.spec)
    key = jax.random.key(config.seed)
    drawn = encoder._replace(params=jnn.init(encoder.spec, key), stats=stats and jnn.init(stats, key))
    own = partial(tuned, config, encoder=encoder, data=data, begun=False)
    return {
        "whole": own(f"{name}_labels", rows=config.labels, steps=config.label_steps),
        "whole_few": own(f"{name}_few", rows=config.few, steps=config.few_steps),
        **probes(config, drawn, data),
    }


def from_features(config: Any, name: str, encoder: Encoder, data: Data) -> dict[str, float]:
    """What features are worth as they are, and as the beginning of a network that has few labels."""
    few = tuned(config, f"{name}_few", encoder, data, config.few, config.few_steps, begun=True)
    return {"whole_few": few, **probes(config, encoder, data)}


def drawn_patches(p: dict, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Patches (b, t, pixels) of images in 0..1, as they are and as they are drawn, and which are hidden (b, t)."""
    x, side = scale_images(255 * x), p["encoder"]["patch"]["w"].shape[0]
    patches = layers.pixel_unshuffle(x, side)
    patches = patches.reshape(len(x), -1, patches.shape[-1])
    visible = models.random_patches(*patches.shape[:2], max(1, patches.shape[1] // 4), key=key)
    hidden = 1 - jax.nn.one_hot(visible, patches.shape[1]).sum(1)
    return patches, models.masked_autoencoder(p, x, visible), hidden


def drawings(p: dict, x: np.ndarray, key: jax.Array) -> Figure:
    """Images, what a masked autoencoder sees of them, and what it draws, with what it has seen in its place."""
    x = whole(jnp.asarray(x), x.shape[1])
    patches, drawn, hidden = jax.jit(drawn_patches)(p, x, key)
    hidden, side = hidden[..., None], p["encoder"]["patch"]["w"].shape[0]
    rows = [patches, jnp.where(hidden, 0.0, patches), jnp.where(hidden, drawn, patches)]
    count = x.shape[1] // side
    images = [layers.pixel_shuffle(row.reshape(len(x), count, count, -1), side) for row in rows]
    return pictures.sheet(np.concatenate(images) * 0.25 + 0.47, len(x), ["image", "seen", "drawn"])


NAMES = {"simclr": "SimCLR", "byol": "BYOL", "vicreg": "VICReg", "mae": "MAE", "resnet": "ResNet", "vit": "ViT"}
KINDS = {  # of an accuracy: what it is of, where there were features, and where there were labels alone
    "whole": ("fine-tuned", "labels alone"),
    "probe": ("linear probe", "linear probe as drawn"),
}


def compared(config: Any, found: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Accuracies by how many labels there were, and then by what they are of."""
    panels: dict[str, dict[str, float]] = {}
    for rows, end in ((config.labels, ""), (config.few, "_few")):
        panels[f"{rows:,} labels"] = {
            f"{NAMES[name]}, {said[name in ('resnet', 'vit')]}": row[kind + end]
            for name, row in found.items()
            for kind, said in KINDS.items()
            if kind + end in row
        }
    return panels


def bars(panels: Mapping[str, Mapping[str, float]]) -> Figure:
    """A panel for each title, a bar for each name, the best on top; those of labels alone in another colour."""
    figure = Figure(figsize=(9.6, 0.9 + 0.27 * max(map(len, panels.values()))), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        order = sorted(values, key=values.__getitem__)
        colours = [pictures.WARM if "alone" in name else pictures.ACCENT for name in order]
        axes.barh(order, [values[name] for name in order], color=colours, height=0.7)
        for place, name in enumerate(order):
            axes.text(values[name] + 0.005, place, f"{values[name]:.3f}", va="center", fontsize=8, color=pictures.INK)
        axes.set(title=title, xlabel="test accuracy", xlim=(0, 1.18 * max(values.values())))
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def near(encoder: Encoder, part: Mapping[str, np.ndarray]) -> Figure:
    """Some images, and those whose features point in the most similar direction."""
    points = np.asarray(layers.unit_norm(jnp.asarray(encoder.points(part["x"]))))
    return pictures.nearest(points, part["x"], part["y"])


def figures(config: Any, found: Mapping, encoders: Mapping[str, Encoder], params: Mapping, test: Mapping) -> dict:
    """All of them, by caption."""
    shown, key = first(test, SHOWN), jax.random.key(config.seed)
    drawn = lambda: drawings(params["mae"], shown["x"][:DRAWN], key)
    return {
        "Test accuracy, by how many labels there were.": lambda: bars(compared(config, found)),
        **{
            f"{NAMES[name]}: some of {SHOWN:,} test images, and those with the nearest features.": partial(
                near, encoder, shown
            )
            for name, encoder in encoders.items()
        },
        **({"What the masked autoencoder draws of test images.": drawn} if "mae" in params else {}),
    }
