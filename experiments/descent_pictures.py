"""Pictures of double descent: errors over how many features, units or steps there are.

features(found, config), widths(found, config), steps(found, config) -> Figure
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.pictures import ACCENT, INK, WARM, framed, round_ticks

Found = Mapping[str, np.ndarray]
COLOURS = (ACCENT, WARM, INK)


def features(found: Found, config: Any) -> Figure:
    """Test error over the number of random features: mean, and from the least to the most of the seeds."""
    figure, axes = framed()
    for i, wrong in enumerate(config.wrong):
        _band(
            axes, found["features"], found["least_norm"][:, i], COLOURS[i % 3], label=f"smallest norm, {_told(wrong)}"
        )
        _band(axes, found["features"], found["penalty"][:, i], COLOURS[i % 3], label="with a penalty", linestyle="--")
    axes.axvline(config.examples, color=INK, linewidth=0.8, linestyle=":")
    top = {"xycoords": ("data", "axes fraction"), "ha": "center", "fontsize": 8}
    axes.annotate("as many as rows", (config.examples, 1.01), **top)
    axes.set(xscale="log", xlabel="random features", ylabel="test error")
    axes.legend(frameon=False, fontsize=9)
    return figure


def widths(found: Found, config: Any) -> Figure:
    """Test error and training error at the end over the width."""
    figure, axes = framed()
    for i, wrong in enumerate(config.wrong):
        _band(axes, config.widths, found["test"][:, i, :, -1], COLOURS[i % 3], label=f"test, {_told(wrong)}")
        own = found["train"][:, i, :, -1].mean(-1)
        axes.plot(config.widths, own, color=COLOURS[i % 3], linestyle=":", label="training, labels as given")
    axes.set(xscale="log", xlabel="units of the hidden layer", ylabel="error", ylim=(0, None))
    round_ticks(axes, min(config.widths), max(config.widths))
    axes.legend(frameon=False, fontsize=9)
    return figure


def steps(found: Found, config: Any) -> Figure:
    """Test error over the steps, by most wrong labels: a line for every second width but the narrowest."""
    figure, axes = framed()
    means, names = found["test"][:, -1].mean(1)[1::2], config.widths[1::2]
    for row, width, colour in zip(means, names, colormaps["viridis"](np.linspace(0.9, 0, len(means))), strict=True):
        axes.plot(found["steps"], row, color=colour, linewidth=1.4, label=f"{width:,}")
    axes.set(xscale="log", xlabel="steps", ylabel=f"test error, {_told(config.wrong[-1])}")
    round_ticks(axes, found["steps"].min(), found["steps"].max())
    axes.legend(frameon=False, fontsize=8, title="width", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _told(wrong: float) -> str:
    return f"{100 * wrong:g} % of labels wrong"


def _band(axes: Axes, x: Any, values: np.ndarray, colour: str, **how: Any) -> None:
    """Means of values (n, seeds) over x, and their range."""
    axes.plot(x, values.mean(-1), color=colour, **how)
    axes.fill_between(x, values.min(-1), values.max(-1), color=colour, alpha=0.15, linewidth=0)
