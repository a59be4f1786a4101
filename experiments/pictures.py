"""Pictures that several experiments draw: confusion, examples, predictions against targets."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

INK, ACCENT, WARM = "#1d2430", "#2f6fde", "#e0632f"


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts of true class (row) against predicted class (column); errors are shaded, the diagonal is not."""
    matrix = np.asarray(matrix, int)
    errors = matrix - np.diag(np.diag(matrix))
    size = 1.6 + 0.45 * len(names)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        np.ma.masked_equal(errors, 0), cmap="Oranges", vmin=-0.2 * errors.max(), vmax=1.6 * max(1, errors.max())
    )
    for i, j in np.argwhere(matrix > 0):
        weight = "bold" if i == j else "normal"
        axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8, color=INK, fontweight=weight)
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 2 else 0, ha="center")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def examples(images: np.ndarray, titles: Sequence[str], columns: int = 8) -> Figure:
    """A grid of images (n, y, x) or (n, y, x, 3) with a title each."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.15 * columns, 1.4 * rows), layout="constrained")
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(image, cmap="gray_r" if image.ndim == 2 else None)
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    return figure


def mistakes(images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> Figure:
    """The first sixteen images that were classified wrongly."""
    wrong = np.flatnonzero(labels != predictions)[:16]
    titles = [f"{names[labels[i]]} as {names[predictions[i]]}" for i in wrong]
    return examples(images[wrong], titles) if len(wrong) else examples(images[:1], ["no mistakes"])


def against(targets: np.ndarray, predictions: np.ndarray, unit: str) -> Figure:
    """Predictions over targets, with the line on which they would be equal."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    both = np.concatenate([np.ravel(targets), np.ravel(predictions)])
    axes.plot([both.min(), both.max()], [both.min(), both.max()], color=INK, linewidth=0.8)
    axes.scatter(targets, predictions, s=9, alpha=0.6, color=ACCENT)
    axes.set(xlabel=f"target ({unit})", ylabel=f"prediction ({unit})")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def histogram(scores: np.ndarray, labels: np.ndarray, xlabel: str) -> Figure:
    """Scores of the two classes."""
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    bins = np.linspace(scores.min(), scores.max(), 41).tolist()
    for label, colour in ((0, WARM), (1, ACCENT)):
        axes.hist(scores[labels == label], bins=bins, alpha=0.7, color=colour, label=f"class {label}")
    axes.set(xlabel=xlabel, ylabel="examples")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def page(text: str, width: int = 88) -> Figure:
    """Text as written, in a fixed pitch."""
    lines = [part for line in text.splitlines() for part in (textwrap.wrap(line, width) or [""])]
    figure = Figure(figsize=(8.5, 0.4 + 0.19 * len(lines)))
    figure.text(0.02, 0.98, "\n".join(lines), family="monospace", fontsize=9, va="top", color=INK, parse_math=False)
    return figure
