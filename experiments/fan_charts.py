"""Fan charts of forecasts: what was measured and the intervals around it, errors by step ahead, and calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from experiments.forecasting import LEVELS, MEDIAN
from experiments.pictures import ACCENT, INK
from experiments.series import Series

SHOWN = 7  # origins of a fan chart
INNER = (np.argmin(abs(LEVELS - 0.25)), np.argmin(abs(LEVELS - 0.75)))


def figures(found: Mapping[str, np.ndarray], series: Series) -> dict[str, Callable[[], Figure]]:
    """Figures of the report, by what they show, of quantiles (origins, horizon, levels) by their methods."""
    return {
        "Seven forecasts of the test: the median, intervals of 50 % and 90 %; measured in black.": partial(
            fans, found, series
        ),
        "The median's absolute error by how far ahead it is.": partial(by_step, found, series),
        "How often what was measured lay below each quantile; on the line if the forecast is calibrated.": partial(
            calibration, found, series
        ),
    }


def fans(found: Mapping[str, np.ndarray], series: Series) -> Figure:
    """Fan charts, a method a row, of origins from the middle of the test."""
    first = len(series.origins("test")) // 2
    rows = slice(first, first + SHOWN)
    y = series.targets("test")[rows].ravel()
    time = np.arange(len(y)) / series.kind.horizon
    figure = Figure(figsize=(8.5, 1.5 * len(found)), layout="constrained")
    rows_of = figure.subplots(len(found), sharex=True, squeeze=False)[:, 0]
    for axes, (name, quantiles) in zip(rows_of, found.items(), strict=True):
        q = quantiles[rows].reshape(-1, len(LEVELS))
        axes.fill_between(time, q[:, 0], q[:, -1], color=ACCENT, alpha=0.2, linewidth=0)
        axes.fill_between(time, q[:, INNER[0]], q[:, INNER[1]], color=ACCENT, alpha=0.35, linewidth=0)
        axes.plot(time, q[:, MEDIAN], color=ACCENT, linewidth=1)
        axes.plot(time, y, color=INK, linewidth=0.9)
        axes.set_title(name, fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    axes.set_xlabel("forecasts, one behind the other", fontsize=9)
    figure.supylabel(series.kind.unit, fontsize=9)
    return figure


def by_step(found: Mapping[str, np.ndarray], series: Series) -> Figure:
    """Mean absolute error of the median, by steps ahead."""
    figure, axes = _axes()
    for name, quantiles in found.items():
        error = abs(quantiles[..., MEDIAN] - series.targets("test")).mean(0)
        axes.plot(1 + np.arange(len(error)), error, label=name, marker=".", markersize=4, linewidth=1)
    axes.set(xlabel="steps ahead", ylabel=f"absolute error ({series.kind.unit})")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def calibration(found: Mapping[str, np.ndarray], series: Series) -> Figure:
    """Reliability diagram: level of a quantile against the share of values below it."""
    figure, axes = _axes()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle=":")
    for name, quantiles in found.items():
        below = (series.targets("test")[..., None] <= quantiles).mean((0, 1))
        axes.plot(LEVELS, below, label=name, marker=".", markersize=4, linewidth=1)
    axes.set(xlabel="level", ylabel="share below", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _axes():
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
