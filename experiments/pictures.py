"""Pictures that several experiments draw: confusion, examples, predictions against targets."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import ndimage

from jnn.metrics import RocCurve

INK, ACCENT, WARM = "#1d2430", "#2f6fde", "#e0632f"
NUMBERED, CELLS = 40, 400  # classes of a confusion matrix: with a number in each cell, with a cell each
LINES = 150  # of a page


def counts_of(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix (classes, classes) of integers: how often each class (row) was taken for each (column)."""
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (y, predicted), 1)
    return matrix


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts of true class (row) against predicted class (column); errors are shaded, the diagonal is not.

    Of more than `NUMBERED` classes only the shades are drawn, and of more than `CELLS` several to a cell.
    """
    matrix, classes = np.asarray(matrix, int), len(names)
    errors = matrix - np.diag(np.diag(matrix))
    cell = -(-classes // CELLS)
    if cell > 1:
        starts = np.arange(0, classes, cell)
        errors = np.add.reduceat(np.add.reduceat(errors, starts, 0), starts, 1)
    size = 1.6 + 0.45 * min(classes, NUMBERED)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    _shade(axes, errors, errors.max())
    axes.set(xlabel="predicted", ylabel="true" if cell == 1 else f"true, {cell} classes to a cell")
    if classes <= NUMBERED:
        _number(axes, matrix, names)
    return figure


def confusions(matrices: Mapping[str, np.ndarray], names: Sequence[str], columns: int = 3) -> Figure:
    """Several of `confusion`, by the same shades, each under its name and its accuracy."""
    errors = {name: matrix - np.diag(np.diag(matrix)) for name, matrix in matrices.items()}
    most = max(map(np.max, errors.values()))
    rows, size = -(-len(matrices) // columns), 0.8 + 0.3 * len(names)
    figure = Figure(figsize=(size * min(columns, len(matrices)), (size + 0.2) * rows), layout="constrained")
    panels = figure.subplots(rows, min(columns, len(matrices)), squeeze=False).ravel()
    for axes in panels[len(matrices) :]:
        axes.axis("off")
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=False):
        _shade(axes, errors[name], most)
        _number(axes, matrix, names)
        axes.set_title(f"{name}: {matrix.trace() / max(1, matrix.sum()):.3f}", fontsize=9, parse_math=False)
    figure.supxlabel("predicted", fontsize=9)
    figure.supylabel("true", fontsize=9)
    return figure


def _shade(axes: Axes, errors: np.ndarray, most: int) -> None:
    axes.imshow(np.ma.masked_equal(errors, 0), cmap="Oranges", vmin=-0.2 * most, vmax=1.6 * max(1, most))


def _number(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """A number in each cell that is not empty, and the names of rows and columns."""
    for i, j in np.argwhere(matrix > 0):
        weight = "bold" if i == j else "normal"
        axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8, color=INK, fontweight=weight)
    upright = max(map(len, names)) <= 2
    axes.set_xticks(range(len(names)), names, rotation=0 if upright else 45, ha="center", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)


def heat(weights: np.ndarray, columns: Sequence[str], rows: Sequence[str], across: str, down: str) -> Figure:
    """Weights (rows, columns) as shades, such as those of attention, with the name of each row and column."""
    figure = Figure(figsize=(1.6 + 0.32 * len(columns), 1.4 + 0.26 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(weights, cmap="Blues", vmin=0, aspect="auto")
    axes.set(xlabel=across, ylabel=down)
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    return figure


def examples(images: np.ndarray, titles: Sequence[str], columns: int = 8) -> Figure:
    """A grid of images (n, y, x) or (n, y, x, 3) with a title each."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.15 * columns, 1.4 * rows), layout="constrained")
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(image, cmap="gray_r" if image.ndim == 2 else None)
        axes.set_title(title, fontsize=8, parse_math=False)
        axes.axis("off")
    return figure


def outlines(panels: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]], columns: int = 2) -> Figure:
    """Images (y, x), from 0 to 1, by their titles, and on each the edges of numbered regions (y, x) by colour."""
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 5.3 * rows), layout="constrained")
    for i, (title, (image, regions)) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, i)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        for colour, numbers in regions.items():
            edge = (numbers > 0) & (ndimage.minimum_filter(numbers, 3) != ndimage.maximum_filter(numbers, 3))
            axes.imshow(np.ma.masked_equal(edge, False), cmap=ListedColormap([colour]), interpolation="nearest")
        axes.set_title(title, fontsize=10, parse_math=False)
        axes.axis("off")
    return figure


def sheet(images: np.ndarray, columns: int, rows: Sequence[str] = (), heads: Sequence[str] = ()) -> Figure:
    """Images (n, y, x) or (n, y, x, 3), in 0..1, side by side in rows; of numbers alone, black is 1.

    Rows and columns may have names.
    """
    images = np.clip(np.asarray(images), 0, 1)
    down, (y, x) = -(-len(images) // columns), (size + 1 for size in images.shape[1:3])
    canvas = np.full((down * y - 1, columns * x - 1, *images.shape[3:]), 0.0 if images.ndim == 3 else 1.0)
    for i, image in enumerate(images):
        top, left = i // columns * y, i % columns * x
        canvas[top : top + y - 1, left : left + x - 1] = image
    scale = 8 / canvas.shape[1]
    figure = Figure(figsize=(8 + bool(rows), scale * len(canvas) + 0.4 * bool(heads)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(canvas, cmap="gray_r" if images.ndim == 3 else None, vmin=0, vmax=1)
    axes.set_xticks([x * (i + 0.5) - 1 for i in range(len(heads))], heads, parse_math=False)
    axes.set_yticks([y * (i + 0.5) - 1 for i in range(len(rows))], rows, parse_math=False)
    axes.tick_params(length=0, labelsize=9, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure


def interpolated(codes: np.ndarray, steps: int) -> np.ndarray:
    """The straight ways from the first of codes (n, d) to the second, from the third to the fourth, and so on."""
    pairs = np.asarray(codes)[: len(codes) // 2 * 2].reshape(-1, 2, 1, codes.shape[-1])
    share = np.linspace(0, 1, steps, dtype=pairs.dtype)[:, None]
    return ((1 - share) * pairs[:, 0] + share * pairs[:, 1]).reshape(-1, codes.shape[-1])


def principal_plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The plane in which points (n, d) differ most: its centre (d,), its two axes (2, d), and where they lie (n, 2)."""
    centre = points.mean(0)
    axes = np.linalg.svd(points - centre, full_matrices=False)[2][:2]
    return centre, axes, (points - centre) @ axes.T


def plane(points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Figure:
    """Points (n, 2), coloured by class."""
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes = figure.add_subplot()
    for label, name in enumerate(names):
        own = points[labels == label]
        axes.scatter(own[:, 0], own[:, 1], s=7, alpha=0.7, color=f"C{label}", label=name)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def nearest(points: np.ndarray, images: np.ndarray, labels: np.ndarray, rows: int = 5, columns: int = 6) -> Figure:
    """A row for each of a few images: it, and those whose points (n, d) are nearest to its, of its label or another."""
    chosen = np.linspace(0, len(points) - 1, rows).astype(int)
    order = np.argsort(np.linalg.norm(points[chosen, None] - points, axis=-1), axis=1, kind="stable")[:, :columns]
    titles = np.where(labels[order] == labels[chosen, None], "same", "other")
    titles[:, 0] = "asked"
    return examples(images[order.ravel()], titles.ravel().tolist(), columns)


def photographs(images: np.ndarray) -> np.ndarray:
    """Grey images (n, y, x), whatever their range, as `examples` draws photographs: (n, y, x, 3), bright is white."""
    low, high = (end(images, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
    return np.repeat(((images - low) / np.maximum(high - low, 1e-6))[..., None], 3, axis=-1)


def det(curves: Mapping[str, RocCurve]) -> Figure:
    """Detection error trade-off: false positives against false negatives, on logarithmic axes; a line a method."""
    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    least = 1e-3
    axes.plot([least, 1], [least, 1], color=INK, linewidth=0.6, linestyle=":")
    for (name, curve), colour in zip(curves.items(), (ACCENT, WARM, INK, "#3d9a5f", "#8a5fd0"), strict=False):
        misses = np.maximum(1 - curve.sensitivity, least)
        axes.loglog(np.maximum(curve.false_positive_rate, least), misses, color=colour, label=name)
    axes.set(xlabel="false matches", ylabel="false rejections", xlim=(least, 1), ylim=(least, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def detections(part: Mapping[str, np.ndarray], found: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    """The first eight images of those with most boxes: true boxes, and those found with a score of one third at least.

    Of several classes each box that is found has its name.
    """
    shown = np.argsort(-(part["labels"] >= 0).sum(1), kind="stable")[:8]
    figure = Figure(figsize=(11, 5.8), layout="constrained")
    for axes, i in zip(figure.subplots(2, 4).flat, shown, strict=False):
        axes.imshow(part["x"][i])
        for box, label in zip(part["boxes"][i], part["labels"][i], strict=True):
            if label >= 0:
                _frame(axes, box, "white", 1.0)
        for box, score, label in zip(*(x[i] for x in found), strict=True):
            if label >= 0 and score >= 1 / 3:
                _frame(axes, box, WARM, 1.4)
                if len(names) > 1:
                    axes.text(*box[:2], names[label], color="white", backgroundcolor=WARM, fontsize=6)
        axes.axis("off")
    figure.suptitle("white: true boxes; orange: found", fontsize=9)
    return figure


def _frame(axes: Axes, box: np.ndarray, colour: str, width: float) -> None:
    axes.add_patch(Rectangle(tuple(box[:2]), *(box[2:] - box[:2]), fill=False, edgecolor=colour, linewidth=width))


def mistakes(images: np.ndarray, labels: np.ndarray, predictions: np.ndarray, names: Sequence[str]) -> Figure:
    """The first sixteen images that were classified wrongly."""
    wrong = np.flatnonzero(labels != predictions)[:16]
    titles = [f"{names[labels[i]]} as {names[predictions[i]]}" for i in wrong]
    return examples(images[wrong], titles) if len(wrong) else examples(images[:1], ["no mistakes"])


def against(targets: np.ndarray, predictions: np.ndarray, unit: str) -> Figure:
    """Predictions over targets, with the line on which they would be equal."""
    finite = np.isfinite(predictions)
    targets, predictions = np.asarray(targets)[finite], np.asarray(predictions)[finite]
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    both = np.concatenate([targets, predictions])
    ends = [both.min(), both.max()] if both.size else [0, 1]
    axes.plot(ends, ends, color=INK, linewidth=0.8)
    axes.scatter(targets, predictions, s=9, alpha=0.6, color=ACCENT)
    axes.set(xlabel=f"target ({unit}){_lacking(finite)}", ylabel=f"prediction ({unit})")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def by_size(sizes: Sequence[int], found: Mapping[str, np.ndarray], xlabel: str, ylabel: str) -> Figure:
    """Means and deviations of values (sizes, tries) over sizes, a line by name."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), colour in zip(found.items(), (ACCENT, WARM, INK), strict=False):
        axes.errorbar(sizes, values.mean(1), values.std(1, ddof=1), color=colour, capsize=3, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel, xticks=sizes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def histogram(scores: np.ndarray, labels: np.ndarray, xlabel: str) -> Figure:
    """Scores of the two classes."""
    finite = np.isfinite(scores)
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    ends = (scores[finite].min(), scores[finite].max()) if finite.any() else (0, 1)
    bins = np.linspace(*ends, 41).tolist()
    for label, colour in ((0, WARM), (1, ACCENT)):
        axes.hist(scores[(labels == label) & finite], bins=bins, alpha=0.7, color=colour, label=f"class {label}")
    axes.set(xlabel=f"{xlabel}{_lacking(finite)}", ylabel="examples")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def framed(width: float = 7.2, height: float = 4.4) -> tuple[Figure, Axes]:
    """A figure of so many inches with one panel, which is open above and on the right."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def round_ticks(axes: Axes, low: float, high: float) -> None:
    """Ticks of a logarithmic axis below, at 1, 2 and 5 times powers of ten from low to high."""
    ticks = [m * 10**k for k in range(7) for m in (1, 2, 5) if low <= m * 10**k <= high]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def _lacking(finite: np.ndarray) -> str:
    """How many are not drawn."""
    return "" if finite.all() else f"; {np.sum(~finite):,} of {finite.size:,} are not finite"


def page(text: str, width: int = 88) -> Figure:
    """Text as written, in a fixed pitch; the first lines of a long one."""
    lines = [part for line in text.splitlines() for part in (textwrap.wrap(line, width) or [""])]
    if len(lines) > LINES:
        lines = [*lines[:LINES], f"... and {len(lines) - LINES:,} lines more"]
    figure = Figure(figsize=(8.5, 0.4 + 0.19 * len(lines)))
    figure.text(0.02, 0.98, "\n".join(lines), family="monospace", fontsize=9, va="top", color=INK, parse_math=False)
    return figure


def dots(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """A panel a measure: a row a method, with a point for each of its values and a line at their mean."""
    rows = max(map(len, panels.values()))
    figure = Figure(figsize=(1.6 + 3.6 * len(panels), 0.9 + 0.36 * rows), layout="constrained")
    for axes, (measure, methods) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for row, values in enumerate(methods.values()):
            mean = float(np.mean(values))
            axes.plot(values, [row] * len(values), "o", color=ACCENT, alpha=0.45, markersize=5, markeredgewidth=0)
            axes.plot(mean, row, "|", color=WARM, markersize=15, markeredgewidth=2)
            axes.annotate(f"{mean:.3f}", (mean, row), (0, 8), textcoords="offset points", ha="center", fontsize=8)
        axes.set_yticks(range(len(methods)), list(methods), parse_math=False)
        axes.set(xlabel=measure, ylim=(len(methods) - 0.5, -0.7))
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def lists(found: Mapping[str, Sequence[tuple[str, float]]], columns: int = 3, width: int = 38) -> Figure:
    """Names under a heading each, such as what is nearest to it, with a number."""
    rows, lines = -(-len(found) // columns), 1 + max(map(len, found.values()))
    figure = Figure(figsize=(3.1 * columns, 0.25 * rows * (lines + 1)), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    for axes, (heading, names) in zip(cells, found.items(), strict=False):
        axes.set(xlim=(0, 1), ylim=(lines, 0))
        how = {"fontsize": 8, "va": "center", "parse_math": False}
        axes.text(0, 0.5, textwrap.shorten(heading, width, placeholder="..."), color=ACCENT, weight="bold", **how)
        for line, (name, number) in enumerate(names, 1):
            axes.text(0, line + 0.5, textwrap.shorten(name, width, placeholder="..."), color=INK, **how)
            axes.text(0.93, line + 0.5, f"{number:.2f}", color=INK, ha="right", **how)
    return figure
