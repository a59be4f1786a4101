"""Linear probes and fine-tuning: what the features of a network are worth, as they are and as a beginning.

from_scratch(config, name, encoder, data)       a network of this kind that has labels alone; the probe of one as drawn
from_features(config, name, encoder, data)      the probe of frozen features; the network tuned with few labels
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

import jnn
from experiments.datasets import Data, scale_images
from experiments.probes import features, linear_probe
from experiments.small_images import CIFAR10, augment, whole
from experiments.training import classified, evaluate, train
from jnn import layers, models
from jnn.data import Batches, in_order
from jnn.initializers import zeros
from jnn.train import LossOutput

ROWS = 64  # of a batch with labels, at most


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
        Batches(first_rows(data.train, rows), min(ROWS, config.batch_size), seed=config.seed, drop_last=True),
        every=steps,
        validation=in_order(data.validation, 500),
        stats=stats_spec(encoder.spec),
        start={"encoder": encoder.params, "head": head} if begun else None,
        name=name,
    )
    return float(evaluate(loss, state, in_order(data.test, 500))["accuracy"].value())


def first_rows(part: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The first rows; the order is that of the files, in which classes are mixed."""
    return {name: array[:rows] for name, array in part.items()}


def probes(config: Any, encoder: Encoder, data: Data) -> dict[str, float]:
    """Test accuracy of linear probes of the features, with many labels and with few."""
    known = first_rows(data.train, config.labels)
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
