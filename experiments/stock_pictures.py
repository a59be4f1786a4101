"""Pictures of what can be known of tomorrow's price, and of what only seems to be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.leaks import Leak
from experiments.pictures import ACCENT, INK, WARM
from experiments.predictability import explained
from experiments.prices import TEST, Days

SHOWN = 60  # days of prices
GREY = "#8a93a5"
COLOURS = {"lstm": ACCENT, "linear": WARM, "mean": GREY, "average": GREY, "har": WARM}
NAMES = {"lstm": "LSTM", "linear": "least squares", "mean": "mean of the past", "average": "average", "har": "HAR"}


def figures(
    found: dict[str, dict[str, np.ndarray]], data: Days, leaks: dict[str, Leak]
) -> dict[str, Callable[[], Figure]]:
    """Figures of the report, by what they tell."""
    returns, price = found["return"]["lstm"], leaks["price"]
    return {
        f"The LSTM's forecast of the price seems perfect (R² {price.fake:.4f}), for it is the last price, a day late: "
        f"see its last days. Of the return, on the right, little is left: R² is {price.honest:.4f}.": partial(
            one_step, returns, data
        ),
        "What each forecast of the return gains on the random walk, added up day by day: above 0 it is better. A gain "
        "that lasts would rise all along.": partial(gains, found["return"], data),
        "Volatility is known: its forecasts follow the day's own from calm to storm. R² is against the mean of the "
        "past.": partial(storm, found["volatility"], data),
        "Four successes that are faked, in orange, and the same without the mistake, in blue. No network, nor anything "
        "else, is needed for them.": partial(faked, leaks),
    }


def one_step(returns: np.ndarray, data: Days) -> Figure:
    """The price and its forecast from the day before, of all days and of the last; returns against their forecasts."""
    rows = np.flatnonzero(data.part(TEST))
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, shown, time in ((left, rows, _time(data)), (middle, rows[-SHOWN:], np.arange(-SHOWN, 0))):
        axes.plot(time, data.next_close[shown], color=INK, linewidth=1.4, label="price")
        forecast = data.close[shown] * np.exp(returns[shown] / 100)
        axes.plot(time, forecast, color=WARM, linewidth=0.9, label="its forecast, a day ahead")
    left.set(xlabel="year", ylabel="price at the close")
    middle.set(xlabel=f"the last {SHOWN} days")
    left.legend(frameon=False, fontsize=8)
    right.axhline(0, color=INK, linewidth=0.6)
    right.scatter(returns[rows], data.targets["return"][rows], s=4, alpha=0.35, color=ACCENT, linewidths=0)
    right.set(xlabel="return as forecast (%)", ylabel="return (%)")
    _plain(left, middle, right)
    return figure


def gains(found: dict[str, np.ndarray], data: Days) -> Figure:
    """Squared errors of the random walk less those of each other forecast, added up."""
    rows = data.part(TEST)
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    y, time = data.targets["return"][rows], _time(data)
    for name in ("mean", "linear", "lstm"):
        gain = np.cumsum(np.square(y) - np.square(y - found[name][rows])) / np.square(y).sum()
        axes.plot(time, 100 * gain, color=COLOURS[name], linewidth=1.2, label=NAMES[name])
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.set(xlabel="year", ylabel="gain (% of all squared returns)")
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)
    return figure


def storm(found: dict[str, np.ndarray], data: Days) -> Figure:
    """Volatility of a restless year, and R² of each forecast over all that test."""
    rows = data.part(TEST)
    y = data.targets["volatility"]
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    shown = data.part(range(2011, 2012))
    left.plot(np.exp(y[shown]), ".", color=GREY, markersize=4, label="the day's own")
    left.plot(np.exp(found["mean"][shown]), ":", color=INK, linewidth=1, label="mean of the past")
    for name in ("har", "lstm"):
        left.plot(np.exp(found[name][shown]), color=COLOURS[name], linewidth=1.1, label=NAMES[name])
    left.set(xlabel="trading days of 2011", ylabel="volatility (% a day)", yscale="log")
    left.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    left.set_yticks([], minor=True)
    left.legend(frameon=False, fontsize=8)
    names = ["average", "har", "lstm"]
    r2 = [explained(found[name][rows], y[rows], found["mean"][rows]) for name in names]
    _bars(right, [NAMES[name] for name in names], r2, [COLOURS[name] for name in names])
    right.set(xlabel="R²", xlim=(0, 1.2 * max(r2)))
    _plain(left, right)
    return figure


def faked(leaks: dict[str, Leak]) -> Figure:
    """R² with and without each mistake, on a scale that is linear near 0."""
    figure = Figure(figsize=(8.5, 0.9 + 0.75 * len(leaks)), layout="constrained")
    axes = figure.add_subplot()
    for row, leak in enumerate(leaks.values()):
        axes.plot([leak.honest, leak.fake], [row, row], color="#c9ced8", linewidth=2, zorder=1)
        for value, colour, side in ((leak.honest, ACCENT, "right"), (leak.fake, WARM, "left")):
            axes.plot(value, row, "o", color=colour, markersize=8)
            number = f"{value:.4f}" if value > 0.99 else f"{value:.3f}"
            axes.annotate(number, (value, row), (0, 9), textcoords="offset points", ha=side, fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.set_yticks(range(len(leaks)), [leak.told for leak in leaks.values()], fontsize=8)
    axes.set(xlabel="R² of what tests", ylim=(len(leaks) - 0.5, -0.7))
    axes.margins(x=0.1)
    _plain(axes)
    return figure


def _bars(axes: Axes, names: list[str], values: list[float], colours: list[str]) -> None:
    axes.barh(names, values, color=colours, height=0.6)
    for row, value in enumerate(values):
        axes.text(value, row, f" {value:.3f}", va="center", fontsize=8)


def _time(data: Days) -> np.ndarray:
    """Years with their fractions, of the days that test."""
    year = data.year[data.part(TEST)]
    return np.concatenate([one + np.arange(n) / n for one, n in zip(*np.unique(year, return_counts=True), strict=True)])


def _plain(*panels: Axes) -> None:
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
