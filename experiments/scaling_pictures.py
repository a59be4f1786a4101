"""Pictures of a scaling law.

frontier(runs, held, law, laws), best_sizes(runs, law, laws) -> Figure
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from experiments.pictures import ACCENT, INK, WARM, framed
from experiments.scaling_law import Law, Runs, optimum


def frontier(runs: Runs, held: Runs, law: Law, laws: Sequence[Law]) -> Figure:
    """Loss over FLOPs: a line a size, as the law has it, through the runs; the frontier; and what was held out."""
    figure, axes = framed(height=4.6)
    sizes = np.unique(runs.n)
    for n, colour in zip(sizes, colormaps["viridis"](np.linspace(0.85, 0.1, len(sizes))), strict=True):
        of_size = runs.n == n
        d = np.geomspace(runs.d[of_size].min(), runs.d[of_size].max())
        axes.plot(6 * n * d, law.loss(n, d), color=colour, linewidth=1)
        axes.plot(6 * n * runs.d[of_size], runs.losses[of_size], "o", color=colour, markersize=5, label=f"{n:,}")
    compute = _computes(runs, held)
    axes.plot(compute, law.loss(*optimum(law, compute)), color=INK, linestyle="--", label="best")
    low, high = np.percentile([one.loss(held.n, held.d) for one in laws], (2.5, 97.5), axis=0)
    told = law.loss(held.n, held.d)
    how = {"color": WARM, "capsize": 3, "markersize": 8, "markerfacecolor": "none"}
    spread = np.maximum([told - low, high - told], 0)
    axes.errorbar(6 * held.n * held.d, told, spread, fmt="s", label=f"{held.n[0]:,}, predicted", **how)
    axes.plot(6 * held.n * held.d, held.losses, "x", color=WARM, markersize=7, label="measured")
    _ticks(axes, np.concatenate([runs.losses, held.losses]))
    axes.set(xscale="log", xlabel="FLOPs, 6 N D", ylabel="validation loss, nats a character")
    axes.legend(frameon=False, fontsize=8, title="parameters", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def best_sizes(runs: Runs, law: Law, laws: Sequence[Law]) -> Figure:
    """The best parameters and tokens over FLOPs, as shaded as the bootstrap is unsure; and where runs were."""
    figure, axes = framed(height=4.6)
    compute = _computes(runs, runs)
    for i, (name, colour) in enumerate({"parameters": ACCENT, "tokens": WARM}.items()):
        band = np.percentile([optimum(one, compute)[i] for one in laws], (2.5, 97.5), axis=0)
        axes.fill_between(compute, *band, color=colour, alpha=0.2, linewidth=0)
        axes.plot(compute, optimum(law, compute)[i], color=colour, label=name)
        axes.plot(6 * runs.n * runs.d, runs[i], ".", color=colour, alpha=0.4, markersize=5)
    axes.set(xscale="log", yscale="log", xlabel="FLOPs, 6 N D", ylabel="best for so much; dots: runs")
    axes.legend(frameon=False)
    return figure


def _computes(runs: Runs, held: Runs) -> np.ndarray:
    """FLOPs from the cheapest run to the dearest."""
    return np.geomspace((runs.n * runs.d).min(), max((runs.n * runs.d).max(), (held.n * held.d).max())) * 6


def _ticks(axes: Axes, losses: np.ndarray) -> None:
    """A logarithmic axis of less than a decade, with a number at every tenth that there is room for."""
    axes.set_yscale("log")
    ticks = np.arange(np.floor(10 * losses.min()), np.ceil(10 * losses.max()) + 1) / 10
    axes.yaxis.set_major_locator(FixedLocator(ticks[:: -(-len(ticks) // 10)].tolist()))
    axes.yaxis.set_major_formatter("{x:.1f}")
    axes.yaxis.set_minor_formatter(NullFormatter())
