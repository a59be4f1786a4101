"""Image classification: EfficientNet-Lite0 as published names what is on photographs, of ImageNet's thousand classes.

Data      scikit-learn's two photographs, and four of scikit-image's where it is installed; the shorter side scaled to
          256, the middle 224x224. Nothing is trained.
Network   EfficientNet-Lite0 ("EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan and Le,
          2019; without gates, with ReLU6): 4.7 million parameters, `weights/efficientnet_lite0/` below the data
          directory (pip install 'jnn[experiments,images,test]').
Measures  the five likeliest classes; the median time of --steps images, one after another. In PyTorch, from the same
          file and in one process with jnn's: python -m experiments.peers.torch_efficientnet
Run       python -m experiments.imagenet_labels
Measured  of six photographs all five classes as in PyTorch, no logit further from its than 8e-6 (the largest is 11).
          An image takes 17 ms, PyTorch (eager) 37, on one CPU core that had other work: the median of 30 calls each.
          ImageNet has no class for an astronaut: she is a football helmet, 0.16.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments import clocks
from experiments.efficientnet import label, lite0, photographs
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.pictures import ACCENT, INK
from jnn.models import efficientnet_lite

SHOWN = ("cat", "cup", "astronaut", "rocket")  # of scikit-image's


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """What is on a photograph."""

    steps: int = 200  # images that are timed
    workdir: str = "runs/imagenet_labels"


@jax.jit
def network(params: dict, stats: dict, x: jax.Array) -> jax.Array:
    """Photographs (b, 224, 224, 3) to logits (b, 1000)."""
    return efficientnet_lite(params, x, stats, key=None)[0]


def likeliest(logits: np.ndarray) -> np.ndarray:
    """The five likeliest classes (n, 5), the first ahead.

    >>> likeliest(np.array([[0.0, 3.0, 1.0, 2.0, 5.0, 4.0]])).tolist()
    [[4, 5, 1, 3, 2]]
    """
    return np.argsort(-logits, -1, kind="stable")[:, :5]


def milliseconds(call: Callable[[], Any], times: int) -> float:
    """The median time of a call, once it is compiled and warm."""
    return clocks.milliseconds({"call": lambda: jax.block_until_ready(call())}, times)["call"]


def labelled(images: np.ndarray, probabilities: np.ndarray, names: Sequence[Sequence[str]]) -> Figure:
    """Images (n, y, x, 3) in 0..1, two a row, each beside bars of what is likely (n, k), with their names."""
    rows = -(-len(images) // 2)
    figure = Figure(figsize=(9.6, 1.9 * rows), layout="constrained")
    panels = figure.subplots(rows, 4, squeeze=False, width_ratios=(1, 1.2, 1, 1.2)).reshape(-1, 2)
    for (photograph, bars), image, p, own in zip(panels, images, probabilities, names, strict=False):
        photograph.imshow(image)
        bars.barh(range(len(p)), p, color=ACCENT, height=0.36)
        for i, name in enumerate(own):
            bars.text(0, i - 0.22, f"{name}, {p[i]:.2f}", fontsize=8, color=INK, va="bottom", parse_math=False)
        bars.set(xlim=(0, 1), ylim=(len(p) - 0.5, -0.75))
    for axes in panels.flat:
        axes.axis("off")
    return figure


def experiment(config: Config) -> Outcome:
    """Names what is on each photograph, and times the first."""
    (params, stats), (names, x) = lite0(config.data_dir), photographs(SHOWN)
    logits = np.concatenate([np.asarray(network(params, stats, image[None])) for image in x])
    top, p = likeliest(logits), np.asarray(jax.nn.softmax(logits))
    classes = [[label(i) for i in own] for own in top]
    shown = np.take_along_axis(p, top, -1)
    metrics = {
        "photograph": names,
        "class": [own[0] for own in classes],
        "probability": [round(float(own[0]), 3) for own in shown],
        "milliseconds": milliseconds(lambda: network(params, stats, x[:1]), config.steps),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    caption = "What EfficientNet-Lite0 sees: the five likeliest of a thousand classes."
    pixels = np.clip(x / 2 + 0.5, 0, 1)
    return Outcome(params, metrics, figures={caption: lambda: labelled(pixels, shown, classes)})


if __name__ == "__main__":
    launch(experiment, Config)
