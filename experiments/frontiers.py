"""The frontier of accuracy against the gap between groups, as `experiments.fairness` draws it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.pictures import ACCENT, INK, WARM

COLOURS = (ACCENT, WARM, INK, "#3d9a5f")
ROWS = {
    "accuracy": "accuracy,\nof decisions as they were",
    "auc": "AUC,\nof decisions as they were",
    "true_accuracy": "accuracy,\nof decisions as they should be",
}
Measures = Mapping[str, np.ndarray]  # (1 + resamples, strengths), or (strengths,)


def frontiers(found: Mapping[str, Mapping[str, Measures]]) -> Figure:
    """A column a table, a row a measure; of each method a line through its strengths, with 0.95 of the resamples.

    A ring is where nothing is done.
    """
    rows = [row for row in ROWS if any(row in measures for own in found.values() for measures in own.values())]
    figure = Figure(figsize=(1.2 + 3.4 * len(found), 0.6 + 2.6 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(found), squeeze=False, sharex="col")
    for column, (name, methods) in zip(panels.T, found.items(), strict=True):
        column[0].set_title(name, fontsize=11)
        column[-1].set_xlabel("gap in the share of yes")
        for axes, row in zip(column, rows, strict=True):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(linewidth=0.3)
            if all(row in measures for measures in methods.values()):
                _lines(axes, methods, row)
            else:
                axes.text(0.5, 0.5, "nobody knows", transform=axes.transAxes, ha="center", color=INK)
                axes.set_yticks([])
    for axes, row in zip(panels[:, 0], rows, strict=True):
        axes.set_ylabel(ROWS[row])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=len(labels) if len(found) > 1 else 2, frameon=False
    )
    return figure


def _lines(axes: Axes, methods: Mapping[str, Measures], row: str) -> None:
    for colour, (method, measures) in zip(COLOURS, methods.items(), strict=False):
        x, y = measures["parity_gap"], np.atleast_2d(measures[row])
        axes.plot(x[0], y[0], "-o", color=colour, markersize=3.5, linewidth=1.2, label=method)
        if len(y) > 1:
            axes.errorbar(x[0], y[0], _around(y), _around(x), fmt="none", color=colour, linewidth=0.5, alpha=0.35)
    axes.plot(x[0, 0], y[0, 0], "o", color=INK, markersize=10, fillstyle="none")


def _around(values: np.ndarray) -> np.ndarray:
    """How far the 0.025 and 0.975 quantiles of the resamples lie below and above."""
    low, high = np.quantile(values[1:], (0.025, 0.975), axis=0)
    return np.maximum([values[0] - low, high - values[0]], 0)
