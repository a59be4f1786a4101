"""The ratios as a plot: a row a workload, a point a framework, a panel a processor. To the right of 1 jnn leads."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from experiments.benchmarks.frameworks import FRAMEWORKS
from experiments.benchmarks.problems import LEAVES, PROBLEMS
from experiments.benchmarks.results import PEERS, Results, ratio
from experiments.pictures import ACCENT, INK, WARM

MARKS = {  # torch, which is not of JAX's family, stands out
    "torch": ("D", WARM),
    "jax": ("o", ACCENT),
    "nnx": ("^", "#3d9a5f"),
    "linen": ("v", "#3d9a5f"),
    "haiku": ("s", "#8a5fd0"),
    "equinox": ("P", "#b08b2c"),
    "keras": ("X", "#7a8494"),
}
LIMITS = (1 / 2.5, 25)  # beyond them a point stands at the edge, with its number


def speed(results: Results) -> Figure:
    """Time of a step over jnn's, on a logarithmic axis."""
    names = [
        w for w in PROBLEMS if w not in LEAVES and any(ratio(own, w, f) for own in results.values() for f in PEERS)
    ]
    figure = Figure(figsize=(1.9 + 4.6 * len(results), 2.2 + 0.3 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, (name, own) in zip(panels, results.items(), strict=True):
        for framework, (mark, colour) in MARKS.items():
            if points := [(found, row) for row, w in enumerate(names) if (found := ratio(own, w, framework))]:
                draw(axes, points, mark, colour, FRAMEWORKS[framework].title)
        axes.set_title(name, fontsize=9, color=INK, parse_math=False)
        frame(axes, names)
    entries = {label: one for axes in panels for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        entries.values(), entries, loc="outside lower center", ncols=4 * len(panels), frameon=False, fontsize=8
    )
    return figure


def draw(axes: Axes, points: list[tuple[float, int]], mark: str, colour: str, title: str) -> None:
    """A framework's points; those beyond the limits at the edge."""
    least, most = LIMITS
    x = [min(max(found, least), most) for found, _ in points]
    how = {"color": colour, "markersize": 6, "alpha": 0.85, "markeredgewidth": 0, "clip_on": False, "zorder": 3}
    axes.plot(x, [row for _, row in points], mark, linestyle="", label=title, **how)
    for found, row in points:
        if not least <= found <= most:
            place, side = (most, (8, 0)) if found > most else (least, (-8, 0))
            where = {"textcoords": "offset points", "va": "center", "ha": "left" if found > most else "right"}
            axes.annotate(f"{found:.3g}", (place, row), side, fontsize=7, color=colour, **where)


def frame(axes: Axes, names: list[str]) -> None:
    """The axes, and the line that is jnn."""
    ticks = [0.5, 1, 2, 5, 10, 20]
    axes.set_xscale("log")
    axes.set_xlim(*LIMITS)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_yticks(range(len(names)), [PROBLEMS[name].title for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(1, color=INK, linewidth=1)
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    axes.set_xlabel("time of a training step / jnn's (to the right of 1 jnn is faster)", fontsize=8)
    axes.tick_params(labelsize=8, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def write_svg(figure: Figure, path: Path) -> None:
    """The same bytes for the same figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, format="svg", metadata={"Date": None})
