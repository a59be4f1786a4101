"""Pictures of architecture searches.

regrets(costs, found, spent, darts), ranks(true, shares, picks) -> Figure
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.pictures import ACCENT, INK, WARM, framed, round_ticks

COLOURS = (INK, ACCENT, "#3d9a5f")


def regrets(costs: np.ndarray, found: Mapping[str, np.ndarray], spent: float, darts: np.ndarray) -> Figure:
    """Mean regrets (repeats, costs) over what was spent, with their quartiles; and of DARTS's runs a point each."""
    figure, axes = framed()
    for (name, values), colour in zip(found.items(), COLOURS, strict=True):
        all_begun = np.isfinite(values).all(0)
        of_all, at = values[:, all_begun], costs[all_begun]
        axes.plot(at, of_all.mean(0), color=colour, label=name)
        axes.fill_between(at, *np.percentile(of_all, (25, 75), axis=0), color=colour, alpha=0.12, linewidth=0)
    axes.plot([spent] * len(darts), darts, "o", color=WARM, alpha=0.5, markersize=6, label="DARTS, a point a run")
    axes.plot(spent, darts.mean(), "_", color=WARM, markersize=18, markeredgewidth=2)
    axes.set(xscale="log", xlabel="spent, in whole trainings", ylabel="test accuracy behind the best", ylim=(0, None))
    round_ticks(axes, costs.min(), costs.max())
    axes.legend(frameon=False)
    return figure


def ranks(true: np.ndarray, shares: np.ndarray, picks: Sequence[int]) -> Figure:
    """What DARTS thinks of each architecture, as mean log shares (runs, architectures), over its true rank."""
    figure, axes = framed()
    rank = np.empty(len(true), int)
    rank[np.argsort(-true, kind="stable")] = np.arange(1, len(true) + 1)
    axes.plot(rank, shares.mean(0), "o", color=ACCENT, markersize=4, alpha=0.7, label="an architecture")
    for pick in sorted(set(picks)):
        often = sum(other == pick for other in picks)
        axes.plot(rank[pick], shares.mean(0)[pick], "o", color=WARM, markersize=9, fillstyle="none", markeredgewidth=2)
        axes.annotate(
            f"{often} of {len(picks)} runs",
            (rank[pick], shares.mean(0)[pick]),
            (7, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(xlabel="true rank, by test accuracy", ylabel="log of its share in DARTS's mixture, mean over runs")
    return figure
