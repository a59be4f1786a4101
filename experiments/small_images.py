"""Small photographs, as networks are trained on them: augmentation, progressive resizing, and pictures of the outcome.

augment(x, key) -> x                          crops and flips, on the device
Halved(batches, steps)[step]                  images of half the size at first
halve(images) -> images                       means of 2x2 pixels
confident_mistakes(...), by_class(...), taken_for(...), filters(...) -> Figure
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from matplotlib.figure import Figure

import jnn
from experiments import pictures
from jnn.data import Batches, random_crop, random_flip

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def augment(x: jax.Array, key: jax.Array) -> jax.Array:
    """Another view of each image (b, size, size, c): cropped after padding by an eighth of the size, and flipped."""
    x = random_crop(x, padding=x.shape[1] // 8, key=jnn.path_key(key, "crop"))
    return random_flip(x, key=jnn.path_key(key, "flip"))


def halve(images: np.ndarray) -> np.ndarray:
    """Images (n, y, x, c) of half the height and width: means of 2x2 pixels.

    >>> halve(np.array([[0, 2], [4, 7]], np.uint8).reshape(1, 2, 2, 1)).item()
    3
    """
    n, y, x, c = images.shape
    return images.reshape(n, y // 2, 2, x // 2, 2, c).mean((2, 4)).astype(images.dtype)


class Halved:
    """Progressive resizing: batches whose images are half as high and wide for the first steps.

    See "EfficientNetV2: Smaller Models and Faster Training", Tan and Le, 2021. Two shapes are compiled.

    Args:
      batches: with images "x" (b, y, x, c), by the step.
      steps: how many have half the size.

    >>> halved = Halved(Batches({"x": np.zeros((9, 4, 4, 3), np.uint8)}, 3, seed=0), 2)
    >>> [halved[step]["x"].shape for step in (0, 1, 2)]
    [(3, 2, 2, 3), (3, 2, 2, 3), (3, 4, 4, 3)]
    """

    def __init__(self, batches: Batches, steps: int) -> None:
        self.batches, self.batch_size, self.steps = batches, batches.batch_size, steps

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        batch = self.batches[step]
        return batch if step >= self.steps else batch | {"x": halve(batch["x"])}


def confident_mistakes(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> Figure:
    """The sixteen images that were classified wrongly with the largest probability."""
    predictions, sure = probabilities.argmax(-1), probabilities.max(-1)
    worst = np.argsort(np.where(predictions == labels, 0, -sure), kind="stable")[:16]
    worst = worst[predictions[worst] != labels[worst]]
    titles = [f"{names[labels[i]]} as\n{names[predictions[i]]}, {sure[i]:.2f}" for i in worst]
    return pictures.examples(images[worst], titles) if len(worst) else pictures.examples(images[:1], ["no mistakes"])


def by_class(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Accuracy of each class, the best first, with what it is most often taken for."""
    matrix = np.asarray(matrix)
    accuracy = np.diag(matrix) / np.maximum(matrix.sum(1), 1)
    other = (matrix - np.diag(np.diag(matrix))).argmax(1)
    order = np.argsort(-accuracy, kind="stable")
    figure = Figure(figsize=(6.4, 0.6 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([names[i] for i in order], accuracy[order], color=pictures.ACCENT, height=0.7)
    for place, i in enumerate(order):
        said = f"{accuracy[i]:.3f}; then {names[other[i]]}, {matrix[i, other[i]] / max(matrix[i].sum(), 1):.3f}"
        axes.text(accuracy[i] + 0.01, place, said, va="center", fontsize=8, color=pictures.INK)
    axes.set(xlabel="accuracy", xlim=(0, 1.4), xticks=np.linspace(0, 1, 6))
    axes.invert_yaxis()
    axes.spines["bottom"].set_bounds(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def taken_for(
    images: np.ndarray, labels: np.ndarray, predictions: Mapping[str, np.ndarray], names: Sequence[str]
) -> Figure:
    """Images (n, y, x, 3), a column each: what it is, and a row a method what it was taken for; mistakes are orange."""
    rows = {"": labels} | dict(predictions)
    width, below = 1.2 + 0.82 * len(images), 0.1 + 0.18 * len(rows)  # inches
    figure = Figure(figsize=(width, 0.85 + below))
    figure.subplots_adjust(left=1.2 / width, right=0.99, bottom=below / (0.85 + below), top=0.98, wspace=0.06)
    for i, axes in enumerate(figure.subplots(1, len(images), squeeze=False)[0]):
        axes.imshow(images[i])
        axes.axis("off")
        for j, (method, classes) in enumerate(rows.items()):
            how = {"y": -0.08 - 0.23 * j, "transform": axes.transAxes, "va": "top", "fontsize": 8}
            colour = pictures.INK if classes[i] == labels[i] else pictures.WARM
            weight = "normal" if method else "bold"
            axes.text(0.5, s=names[classes[i]], ha="center", color=colour, fontweight=weight, **how)
            if i == 0:
                axes.text(-0.2, s=method, ha="right", color=pictures.INK, **how)
    return figure


def filters(w: np.ndarray, images: np.ndarray) -> Figure:
    """The first layer's filters w (y, x, c, n), and below each its answers to images (m, y, x, c).

    A filter's weights are drawn as colours around grey; its answers are bright where they are large.
    """
    colours = np.moveaxis(0.5 + 0.5 * w / np.maximum(np.abs(w).max((0, 1, 2)), 1e-12), -1, 0)
    answers = np.abs(jnn.layers.conv({"w": w.astype(np.float32)}, np.asarray(images, np.float32) / 255 - 0.5))
    figure = Figure(figsize=(0.55 * (len(colours) + 1), 0.55 * (len(images) + 1)), layout="constrained")
    grid = figure.subplots(len(images) + 1, len(colours) + 1, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, colour in zip(grid[0, 1:], colours, strict=True):
        axes.imshow(colour)
    for row, image, answer in zip(grid[1:], images, answers, strict=True):
        row[0].imshow(image)
        for n, axes in enumerate(row[1:]):
            axes.imshow(answer[..., n], cmap="gray")
    return figure
