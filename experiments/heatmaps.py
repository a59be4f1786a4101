"""Pictures of explanations: maps over images, side by side; curves and bars with a name each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from experiments.pictures import INK


def maps(images: np.ndarray, columns: Mapping[str, np.ndarray], titles: Sequence[str]) -> Figure:
    """Images (n, y, x) or (n, y, x, 3) by row, each with a map (n, y, x) by column over its grey shadow.

    Red speaks for the class and blue against it; the strength is a share of the map's own 99th percentile.
    """
    n, across = len(images), 1 + len(columns)
    cell = 1.25 if images.shape[1] <= 32 else 1.5
    figure = Figure(figsize=(cell * across, (cell + 0.05) * n + 0.3), layout="constrained")
    panels = figure.subplots(n, across, squeeze=False)
    for i, row in enumerate(panels):
        _image(row[0], images[i])
        row[0].set_ylabel(titles[i], fontsize=8, color=INK, parse_math=False)
        for axes, values in zip(row[1:], columns.values(), strict=True):
            axes.imshow(_shadow(images[i]), cmap="gray", vmin=0, vmax=1)
            axes.imshow(_coloured(values[i]), interpolation="nearest")
        for axes in row:
            axes.set(xticks=(), yticks=())
            axes.spines[:].set_visible(False)
    for axes, name in zip(panels[0], ["", *columns], strict=True):
        axes.set_title(name, fontsize=8, color=INK)
    return figure


def curves(rows: Mapping[str, Sequence[float]], ticks: Sequence[str], ylabel: str) -> Figure:
    """A line each, over named places, with its name beside them."""
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["tab10"].colors
    for i, (name, values) in enumerate(rows.items()):
        how = {"color": colours[i % len(colours)], "linestyle": ("-", "--")[i % 2]}
        axes.plot(range(len(ticks)), values, marker="o", markersize=3, label=name, **how)
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(ylabel=ylabel)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def bars(groups: Mapping[str, Sequence[float]], names: Sequence[str], ylabel: str, errors=None) -> Figure:
    """A group of bars for each name, one bar of each kind; with what it varies by, where that is known."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    width, at = 0.8 / len(groups), np.arange(len(names))
    for i, (kind, values) in enumerate(groups.items()):
        spread = None if errors is None else errors.get(kind)
        axes.bar(at + (i + 0.5) * width - 0.4, values, width, yerr=spread, label=kind, error_kw={"linewidth": 0.8})
    tilted = {"rotation": 30, "ha": "right"} if max(map(len, names)) > 4 else {}
    axes.set_xticks(at, names, **tilted)
    axes.set(ylabel=ylabel)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _image(axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray_r" if image.ndim == 2 else None)


def _shadow(image: np.ndarray) -> np.ndarray:
    """A pale grey picture of an image in 0..1; of one without colours, ink is dark."""
    grey = 1 - image if image.ndim == 2 else image.mean(-1)
    return 0.72 + 0.28 * grey


def _coloured(values: np.ndarray) -> np.ndarray:
    """Red, green, blue and opacity (y, x, 4) of a map."""
    limit = np.percentile(np.abs(values), 99) or 1.0
    share = np.clip(values / limit, -1, 1)
    colours = colormaps["RdBu_r"]((share + 1) / 2)
    colours[..., 3] = np.abs(share) ** 0.7
    return colours
