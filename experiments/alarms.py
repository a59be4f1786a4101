"""What scores of anomalies are worth: areas under curves, how soon an alarm comes, and pictures of both.

limit(clean) -> a score that one clean hour a week exceeds
measured(found, limits, data) -> metrics        AUC of hours, share of faults that are found, hours until they are
one_class(part), without_networks(train, test)  digits, one of which is normal
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.svm import OneClassSVM

from experiments import pictures
from experiments.faults import LENGTHS, Fault, Faults
from experiments.pictures import ACCENT, INK, WARM
from experiments.series import DAY, WEEK
from jnn.metrics import roc_auc

COMPONENTS = 16
MOST = 3  # limits that are drawn
Scores = dict[str, np.ndarray]


def limit(clean: np.ndarray) -> float:
    """The score that one clean hour in a week exceeds."""
    return float(np.quantile(clean, 1 - 1 / WEEK))


def delay(scores: np.ndarray, bound: float, fault: Fault) -> float:
    """Hours from the first of a fault to the first alarm in it; NaN where there is none."""
    own = scores[fault.copy, fault.first : fault.first + fault.length] > bound
    return float(own.argmax()) if own.any() else np.nan


def measured(found: Scores, limits: dict[str, float], data: Faults) -> dict[str, float]:
    """Of each method: AUC of all hours that count, alarms a week where nothing is wrong, the share of faults that is
    found, of each kind, too, and the mean delay of these.
    """
    metrics = {}
    for name, scores in found.items():
        counted = {"auc": area(scores[data.counts], ~data.faulty[data.counts])}
        counted["alarms_a_week"] = WEEK * float((scores > limits[name])[data.counts & ~data.faulty].mean())
        delays = {
            kind: [delay(scores, limits[name], own) for own in data.faults if own.kind == kind] for kind in LENGTHS
        }
        every = np.concatenate(list(delays.values()))
        counted |= {"found": float(np.isfinite(every).mean()), "delay": float(np.nanmean(every))}
        counted |= {f"found_{kind}": float(np.isfinite(own).mean()) for kind, own in delays.items()}
        metrics |= {f"{name.replace(' ', '_')}_{what}": value for what, value in counted.items()}
    return metrics


def area(scores: np.ndarray, normal: np.ndarray) -> float:
    """Area under the ROC curve: the chance that what is not normal has the higher score."""
    return roc_auc(np.asarray(scores, np.float32), (~np.asarray(normal, bool)).astype(np.int32))


def areas(scores: np.ndarray, normal: np.ndarray) -> list[float]:
    """The same of each column (n, classes)."""
    return [area(own, is_normal > 0) for own, is_normal in zip(scores.T, normal.T, strict=True)]


def one_class(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Digits as rows (n, 64), and to which of ten classes each is normal."""
    x = part["x"].reshape(len(part["x"]), -1).astype(np.float32)
    return {"x": x, "normal": np.eye(10, dtype=np.float32)[part["y"]]}


def without_networks(training: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> Scores:
    """Scores (n, classes) by what principal components leave over, and by a one-class machine of support vectors.

    See "Estimating the Support of a High-Dimensional Distribution", Schölkopf et al., 2001.
    """
    own = [training["x"][column > 0] for column in training["normal"].T]

    def left_over(x: np.ndarray) -> np.ndarray:
        model = PCA(COMPONENTS, random_state=0).fit(x)
        return np.square(model.inverse_transform(model.transform(test["x"])) - test["x"]).sum(1)

    machine = lambda x: -OneClassSVM(nu=0.1).fit(x).score_samples(test["x"])
    return {"components": np.stack([*map(left_over, own)], 1), "support vectors": np.stack([*map(machine, own)], 1)}


def figures(found: Scores, limits: dict[str, float], data: Faults) -> dict[str, Callable[[], Figure]]:
    """Figures of the report on electricity."""
    return {
        "A fault of each kind, in orange, in two days before it and after; below, what each method says of every hour, "
        "over its limit: above the line is an alarm, as long as the fault is in orange.": partial(
            examples, found, limits, data
        ),
        "How much of each kind is found, and after how many hours, at about one false alarm a week.": partial(
            by_kind, found, limits, data
        ),
    }


def examples(found: Scores, limits: dict[str, float], data: Faults) -> Figure:
    """A column a kind: the load, and each method's scores, as multiples of its limit."""
    figure = Figure(figsize=(2.5 * len(LENGTHS), 1.6 * (1 + len(found))), layout="constrained")
    grid = figure.subplots(1 + len(found), len(LENGTHS), sharex="col", sharey="row")
    for column, kind in zip(grid.T, LENGTHS, strict=True):
        fault = next(own for own in data.faults if own.kind == kind)
        hours = np.arange(max(fault.first - 2 * DAY, 0), fault.first + fault.length + 2 * DAY)
        time = hours - fault.first
        column[0].plot(time, data.load[fault.copy, hours], color=INK, linewidth=1)
        own = np.flatnonzero(data.faulty[fault.copy, hours])
        column[0].plot(time[own], data.load[fault.copy, hours[own]], ".-", color=WARM, linewidth=1.4, markersize=3)
        column[0].set_title(kind, fontsize=9)
        for axes, (name, scores) in zip(column[1:], found.items(), strict=True):
            axes.plot(time, scores[fault.copy, hours] / limits[name], color=ACCENT, linewidth=1)
            axes.axhline(1, color=INK, linewidth=0.7, linestyle=":")
            axes.axvspan(0, fault.length, color=WARM, alpha=0.15, linewidth=0)
            axes.set(ylim=(0, MOST))
        column[-1].set_xlabel("hours since it began", fontsize=8)
    for axes, name in zip(grid[:, 0], ("load (deviations)", *found), strict=True):
        axes.set_ylabel(name, fontsize=8)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    return figure


def by_kind(found: Scores, limits: dict[str, float], data: Faults) -> Figure:
    """Share of faults that are found within so many hours, a panel a kind, a line a method."""
    figure = Figure(figsize=(2.3 * len(LENGTHS), 2.9), layout="constrained")
    panels = figure.subplots(1, len(LENGTHS), sharey=True)
    for axes, (kind, length) in zip(panels, LENGTHS.items(), strict=True):
        for name, scores in found.items():
            delays = np.array([delay(scores, limits[name], own) for own in data.faults if own.kind == kind])
            hours = np.arange(length + 1)
            share = (delays[:, None] < hours).mean(0)
            axes.plot(hours, share, drawstyle="steps-post", linewidth=1.4, label=name, marker=".", markevery=[-1])
        axes.set_title(kind, fontsize=9)
        axes.set(xlabel="hours", ylim=(-0.03, 1.03))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    panels[0].set_ylabel("share that is found")
    panels[-1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def digit_figures(areas: dict[str, list[float]], found: Scores, test: dict[str, np.ndarray]) -> dict[str, Callable]:
    """Figures of the report on digits."""
    name = max(areas, key=lambda name: np.mean(areas[name]))
    return {
        "AUC in testing: a point for each digit that is normal, and their mean.": partial(
            pictures.dots, {"AUC": areas}
        ),
        f"By the best, {name}: of each digit, the five that are most normal, and the five that are least.": partial(
            extremes, found[name], test
        ),
    }


def extremes(scores: np.ndarray, test: dict[str, np.ndarray]) -> Figure:
    """A row a class: the five of lowest score of its own digits, and the five of highest."""
    rows = []
    for digit in range(10):
        own = np.flatnonzero(test["y"] == digit)
        order = own[np.argsort(scores[own, digit], kind="stable")]
        rows += [*order[:5], *order[-5:]]
    heads = ("", "", "most normal", "", "", "", "", "least normal", "", "")
    return pictures.sheet(test["x"][rows][..., 0], 10, [str(digit) for digit in range(10)], heads)
