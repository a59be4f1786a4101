"""Pictures of a search: who lies where, what matters, how the best learned, and whether the winner is luck.

    figures(found, confirmed=None) -> {caption: figure}

They need matplotlib, of the extra `experiments`, and the importances Optuna, of the extra `sweeps`.
"""

from __future__ import annotations

import contextlib
import textwrap
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jnn.sweep._confirm import Confirmation
from jnn.sweep._found import Found, sign
from jnn.sweep._log import Log
from jnn.sweep._optuna import importances
from jnn.sweep._space import Choice, Dimension, Values, searched, spelled, units

INK, ACCENT, WARM, PALE = "#1d2430", "#2f6fde", "#e0632f", "#c9cfd8"
SHOWN = 5  # of the best members, by name


def figures(found: Found, confirmed: Confirmation | None = None) -> dict[str, Figure]:
    """All pictures of a search, by caption; importances are left out without Optuna, or where `shares_of` has none."""
    drawn = {
        "All members by their hyperparameters; the best are dark.": parallel_coordinates(found),
        f"{found.metric} on what validates while learning: all members, and the best {SHOWN}.": curves(found),
    }
    if _determine_shares(found.log, _first_scores(found.log)):
        with contextlib.suppress(ImportError):
            drawn["Importance: shares of the scores' variance, by functional ANOVA."] = importance(found)
    if confirmed is not None:
        drawn["The best once more, by fresh seeds: a point a seed, and the mean."] = reruns(found, confirmed)
    return drawn


def parallel_coordinates(found: Found) -> Figure:
    """Parallel coordinates: a line a member, through its hyperparameters; how far it came, and the score, as the last.

    See "The Plane with Parallel Coordinates", Inselberg, 1985.
    """
    log, space = found.log, found.log.space
    order, worst = comparable(log), max(len(comparable(log)) - 1, 1)
    figure, axes = _drawn(2.2 + 1.5 * len(space), 4.2)
    spread, jitter = [*map(_spread, space.values())], np.random.default_rng(0)
    for rank, number in reversed(list(enumerate(order))):
        heights = [*(units(space, log.values(number)) + spread * jitter.uniform(-1, 1, len(space))), 1 - rank / worst]
        how: dict[str, Any] = {"alpha": 1.0, "linewidth": 2.2} if rank < SHOWN else {"alpha": 0.35, "linewidth": 0.9}
        axes.plot(heights, color=colormaps["viridis"](rank / worst), **how)
    for i, dimension in enumerate(space.values()):
        axes.axvline(i, color=INK, linewidth=0.8)
        _ticks(axes, i, dimension)
    axes.axvline(len(space), color=INK, linewidth=0.8)
    for height, text in ((1.0, "best"), (0.0, "worst")):
        _note(axes, text, (len(space), height))
    axes.set_xticks(range(len(space) + 1), [*space, "rank"], parse_math=False)
    axes.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.35, len(space) + 0.35))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def comparable(log: Log) -> list[int]:
    """Members that did not break down, the best first: who came further is better than who did not."""
    steps = log.steps()
    return sorted((i for i in steps if log.alive(i)), key=lambda i: (-steps[i], log.score(i)))


def curves(found: Found) -> Figure:
    """Curves of the metric on what validates: of all members, and of the best by name."""
    figure, axes = _drawn(7.6, 4.2)
    best = comparable(found.log)[:SHOWN]
    way = sign(found.mode)
    shown = []
    for number in found.log.steps():
        points = [(step, way * score) for step, score in found.log.curve(number) if np.isfinite(score)]
        if points and number not in best:
            axes.plot(*zip(*points, strict=True), color=PALE, linewidth=0.8, marker=".", markersize=3)
        shown += [value for _, value in points]
    for place, number in enumerate(best):
        steps, values = zip(*((step, way * score) for step, score in found.log.curve(number)), strict=True)
        label = f"{number}: {spelled(found.log.values(number))}"
        axes.plot(steps, values, marker="o", markersize=4, color=f"C{place}", label=label)
    if shown:
        low, high = np.percentile(shown, (0, 60) if found.mode == "min" else (40, 100))  # not how bad the worst are
        margin = 0.05 * (high - low) + 1e-9
        axes.set_ylim(low - margin, high + margin)
    axes.set(xlabel="steps", ylabel=found.metric)
    if best:
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    return figure


def importance(found: Found) -> Figure:
    """Importances of the hyperparameters, where members were looked at first, which is where most of them were."""
    log, shares, first = found.log, shares_of(found.log), first_look(found.log)
    figure, axes = _drawn(5.2, 0.9 + 0.35 * len(log.space))
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names], color=ACCENT, height=0.6)
    for row, name in enumerate(names):
        _note(axes, f"{shares[name]:.2f}", (shares[name], row))
    axes.set(xlabel=f"share of the variance of {found.metric} after {first} steps", xlim=(0, 1.08))
    return figure


def shares_of(log: Log) -> dict[str, float]:
    """Importance of each hyperparameter, of all members that were looked at after the first turn.

    Raises:
      ImportError: Optuna is not installed.
      ValueError: no more members were measured than hyperparameters are searched, or all scores are alike.
    """
    tried = _first_scores(log)
    if not _determine_shares(log, tried):
        differ = len({score for _, score in tried})
        raise ValueError(
            f"shares_of: expected scores of more members than the {len(searched(log.space))} hyperparameters that are "
            f"searched, not all alike, found {len(tried)}, {differ} of them different. Search by more members."
        )
    worst = np.percentile([score for _, score in tried], 90)  # what broke down nearly would be all of the variance
    return importances(log.space, [(values, min(score, worst)) for values, score in tried])


def _first_scores(log: Log) -> list[tuple[Values, float]]:
    """What members began as, and their scores after the first turn; without those that had broken down by then."""
    first = first_look(log)
    return [(log.begun(i), score) for i in log.steps() if np.isfinite(score := log.score(i, first))]


def _determine_shares(log: Log, tried: list[tuple[Values, float]]) -> bool:
    """Whether importances follow: of more members than hyperparameters, with scores that differ."""
    return len(tried) > len(searched(log.space)) and len({score for _, score in tried}) > 1


def first_look(log: Log) -> int:
    """The step at which members were looked at first; 0 if every one had broken down before."""
    looks = [step for number in log.steps() for step, score in log.curve(number) if np.isfinite(score)]
    return min(looks, default=0)


def reruns(found: Found, confirmed: Confirmation) -> Figure:
    """The best members by fresh seeds: a point a seed, their means, the search's own word, and the winner's test."""
    figure, axes = _drawn(7.6, 1.3 + 0.5 * (len(confirmed.numbers) + 1))
    rows = {
        f"{number}: {spelled(values)}": score
        for number, values, score in zip(confirmed.numbers, confirmed.values, confirmed.scores, strict=True)
    }
    rows[f"{confirmed.numbers[confirmed.winner]} on the test"] = confirmed.test
    for row, values in enumerate(rows.values()):
        colour = WARM if row == len(rows) - 1 else ACCENT
        axes.plot(values, [row] * len(values), "o", color=colour, alpha=0.5, markersize=5, markeredgewidth=0)
        axes.plot(np.mean(values), row, "|", color=colour, markersize=18, markeredgewidth=2)
    axes.axvline(confirmed.first, color=INK, linewidth=0.8, linestyle=":")
    how: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "fontsize": 8}
    axes.annotate("what the search said of its best", (confirmed.first, 1.0), **how)
    axes.set_yticks(range(len(rows)), [textwrap.fill(row, 44) for row in rows], fontsize=8, parse_math=False)
    best = f"{confirmed.numbers[confirmed.winner]} is best in {confirmed.confidence:.0%} of resamples"
    axes.set(xlabel=f"{found.metric}; {best}")
    axes.margins(x=0.1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _drawn(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of inches, and its axes, open at the top and to the right."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _note(axes: Axes, text: str, at: tuple[float, float], **how: Any) -> None:
    """A few words to the right of a point."""
    axes.annotate(text, at, (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK, **how)


def _ticks(axes: Axes, at: int, dimension: Dimension) -> None:
    """What a dimension's values are, beside its line."""
    values = dimension.values if isinstance(dimension, Choice) else [dimension.at(u) for u in (0.0, 0.5, 1.0)]
    for value in values:
        text = f"{value:.2g}" if isinstance(value, float) else str(value)
        behind = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6}  # lines go through it
        _note(axes, text, (at, dimension.unit(value)), bbox=behind)


def _spread(dimension: Dimension) -> float:
    """How far lines of one choice lie apart, so that they can be seen."""
    return 0.1 / len(dimension.values) if isinstance(dimension, Choice) else 0.0
