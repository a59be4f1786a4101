"""How far generated images are from real ones: the Fréchet distance of what a small classifier sees in both.

    judge = make_judge(config, data)            trains it on the experiment's own training images
    judge.distance(images)                      of images, (n, 28, 28) in 0..1, from those of the test set
    judge.classes(images)                       what each is taken for

FID is that of an Inception network trained on ImageNet; these numbers compare with each other alone. Two sets of real
images are not at 0 either: `judge.real` is the distance of so many validation images from the test set.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.datasets import Data
from experiments.training import classified, evaluate, train
from jnn.data import Batches, in_order
from jnn.layers import conv, conv_spec, linear, linear_spec, max_pool
from jnn.metrics import FeatureMoments, feature_moments, frechet_distance, merge

SIDE, FEATURES, ROWS = 28, 32, 500


def classifier_spec() -> dict[str, Any]:
    """Declares it."""
    return {
        "conv1": conv_spec(1, 16, (3, 3)),
        "conv2": conv_spec(16, 32, (3, 3)),
        "dense": linear_spec((SIDE // 4) ** 2 * 32, FEATURES),
        "out": linear_spec(FEATURES, 10),
    }


def features(p: dict[str, Any], x: jax.Array) -> jax.Array:
    """Images (b, 784) or (b, 28, 28) to what the last layer reads, (b, 32)."""
    h = x.reshape(-1, SIDE, SIDE, 1)
    for name in ("conv1", "conv2"):
        h = max_pool(jax.nn.relu(conv(p[name], h)), (2, 2))
    return jax.nn.relu(linear(p["dense"], h.reshape(len(h), -1)))


def loss(params, batch, ctx):
    return classified(linear(params["out"], features(params, batch["x"])), batch)


@dataclasses.dataclass(frozen=True)
class Judge:
    """A trained classifier, how often it is right on test images, and what it makes of real ones.

    test: the moments of all test images.
    real: the distance of `samples` validation images from them.
    """

    params: dict[str, Any]
    accuracy: float
    test: FeatureMoments
    real: float

    def distance(self, images: np.ndarray) -> float:
        """Of images from those of the test set."""
        return frechet_distance(self.test, moments(self.params, images))

    def classes(self, images: np.ndarray) -> np.ndarray:
        """What each of the images is taken for."""
        return np.asarray(linear(self.params["out"], features(self.params, jnp.asarray(images))).argmax(-1))


def moments(params: dict[str, Any], images: np.ndarray) -> FeatureMoments:
    """Of the features of images, in parts."""
    own = jax.jit(lambda batch: feature_moments(features(params, batch["x"]), batch["weight"]))
    rows = min(ROWS, len(images))
    return merge(*(own(batch) for batch in in_order({"x": np.asarray(images, np.float32)}, rows)))


def make_judge(config: Any, data: Data) -> Judge:
    """Trains the classifier, in a folder of its own below the run's.

    Args:
      config: has the fields of `Common`, `judge_steps` and `samples`.
      data: as `datasets.mnist`.
    """
    state, _ = train(
        dataclasses.replace(config, steps=config.judge_steps),
        classifier_spec(),
        loss,
        optax.adam(1e-3),
        Batches(data.train, 64, seed=config.seed),
        every=200,
        name="classifier",
    )
    accuracy = float(evaluate(loss, state, in_order(data.test, ROWS))["accuracy"].value())
    test = moments(state.params, data.test["x"])
    real = frechet_distance(test, moments(state.params, data.validation["x"][: config.samples]))
    return Judge(state.params, accuracy, test, real)
