"""Pictures of networks at several widths: losses by rate, and sizes of activations.

sweeps(losses, rates, widths), coordinates(checks) -> Figure
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from jnn.maximal_update import Coordinates

Which = tuple[str, str]  # a network, and how it is parametrized
TITLES = {"standard": "standard parametrization", "mup": "maximal update parametrization"}


def sweeps(losses: Mapping[Which, np.ndarray], rates: Sequence[float], widths: Sequence[int]) -> Figure:
    """A row a network, a column a parametrization: losses (widths, rates), the best of each marked."""
    figure, panels = _panels(losses)
    order = np.argsort(rates)  # which may be given in any
    for which, axes in panels.items():
        shown = np.where(np.isfinite(losses[which]), losses[which], np.nan)
        for row, width, colour in zip(shown, widths, _colours(len(widths)), strict=True):
            axes.plot(np.take(rates, order), row[order], color=colour, label=f"{width}")
            axes.plot(rates[int(np.nanargmin(row))], np.nanmin(row), "o", color=colour)
        of_network = np.stack([found for (network, _), found in losses.items() if network == which[0]])
        least = of_network[np.isfinite(of_network)].min()
        axes.set_xscale("log", base=2)
        axes.set(ylim=(0.97 * least, least + 2 * (np.median(of_network) - least)), xlabel="learning rate")
    _name_rows(panels, "validation loss")
    next(iter(panels.values())).legend(title="width", frameon=False)
    return figure


def coordinates(checks: Mapping[Which, Sequence[Coordinates]]) -> Figure:
    """A row a network, a column a parametrization: changes by width, a line a step."""
    figure, panels = _panels(checks)
    for which, axes in panels.items():
        steps = sorted({row.step for row in checks[which]} - {0})
        for step, colour in zip(steps, _colours(len(steps)), strict=True):
            rows = [row for row in checks[which] if row.step == step]
            axes.loglog([row.width for row in rows], [row.change for row in rows], "o-", color=colour, label=f"{step}")
        widths = sorted({row.width for row in checks[which]})
        axes.set_xticks(widths, [f"{width}" for width in widths])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("width")
    _name_rows(panels, "change of logits")
    next(iter(panels.values())).legend(title="steps", frameon=False)
    return figure


def _panels(found: Mapping[Which, object]) -> tuple[Figure, dict[Which, Axes]]:
    networks, kinds = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    figure = Figure(figsize=(4.2 * len(kinds), 3.2 * len(networks)), layout="constrained")
    grid = figure.subplots(len(networks), len(kinds), sharey="row", squeeze=False)
    for axes, kind in zip(grid[0], kinds, strict=True):
        axes.set_title(TITLES[kind], fontsize=10)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, {(n, k): grid[i, j] for i, n in enumerate(networks) for j, k in enumerate(kinds)}


def _name_rows(panels: Mapping[Which, Axes], what: str) -> None:
    for network in dict.fromkeys(network for network, _ in panels):
        first = next(axes for which, axes in panels.items() if which[0] == network)
        first.set_ylabel(f"{network}: {what}")


def _colours(n: int) -> np.ndarray:
    return colormaps["viridis"](np.linspace(0.85, 0.1, n))
