"""Continual learning: MNIST as a row of tasks, what is kept of those before, and what is left of them at the end.

    tasks(scenario, data_dir) -> [Data, ...]            of each task, rows {"x", "y", "task"}
    opened(scenario, rows, latest) -> rows              with the classes among which each is to be told
    reservoir(kept, rows, seen, size, seed=0) -> kept   an even sample of all rows so far
    batches(new, kept, task, size, seed)                of a task's rows, and of what is kept
    average_accuracy, backward_transfer, forgetting     of a matrix: accuracy after task i on task j
    matrices(found), beside(found)                      pictures

The scenarios are those of "Three scenarios for continual learning", van de Ven and Tolias, 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.datasets import SPLIT_SEED, Data, together
from experiments.pictures import ACCENT, INK
from jnn import data
from jnn.data import Batches

TASKS, CLASSES, PIXELS = 5, 10, 784
NAMES = {
    "domain": "permuted, domain-incremental",
    "task": "split, task-incremental",
    "class": "split, class-incremental",
}
Rows = dict[str, np.ndarray]
Matrices = Mapping[str, Mapping[str, np.ndarray]]  # scenario -> method -> accuracies, NaN above the diagonal


def tasks(scenario: str, data_dir: str | None = None) -> list[Data]:
    """MNIST five times, each with other places of its pixels ("domain"), or two digits at a time ("task", "class").

    x (n, 784) uint8, y of 0..9, "task" of 0..4; a fifth of the 60,000 validates.
    """
    train, test = ({"x": part["x"].reshape(-1, PIXELS), "y": part["y"]} for part in _mnist(data_dir))
    parts = (*data.split(train, 0.2, seed=SPLIT_SEED), test)
    if scenario == "domain":
        rng = np.random.default_rng(SPLIT_SEED)
        places = [np.arange(PIXELS), *(rng.permutation(PIXELS) for _ in range(TASKS - 1))]
        return [Data(*(_task({**part, "x": part["x"][:, own]}, i) for part in parts)) for i, own in enumerate(places)]
    digits = lambda part, i: {name: array[part["y"] // 2 == i] for name, array in part.items()}
    return [Data(*(_task(digits(part, i), i) for part in parts)) for i in range(TASKS)]


def _mnist(data_dir: str | None) -> tuple[Rows, Rows]:
    return data.mnist(data_dir, "train"), data.mnist(data_dir, "test")


def _task(rows: Rows, i: int) -> Rows:
    return rows | {"task": np.full(len(rows["y"]), i, np.int32)}


def opened(scenario: str, rows: Rows, latest: int) -> Rows:
    """Rows with "open" (n, 10): all classes; the two of the row's own task; or those that have come by the latest task.

    >>> opened("task", {"task": np.array([1])}, 3)["open"].nonzero()[1].tolist()
    [2, 3]
    """
    first = 2 * rows["task"] if scenario == "task" else np.zeros_like(rows["task"])
    last = {"domain": CLASSES - 1, "task": first + 1, "class": 2 * latest + 1}[scenario]
    classes = np.arange(CLASSES)
    return rows | {"open": (classes >= first[:, None]) & (classes <= np.reshape(last, (-1, 1)))}


def reservoir(kept: Rows | None, rows: Rows, seen: int, size: int, *, seed: int) -> Rows:
    """Reservoir sampling: of all rows that have come, `seen` before these, so many, each as likely as any other.

    See "Random Sampling with a Reservoir", Vitter, 1985. Nothing is changed in place.

    >>> reservoir(None, {"y": np.arange(9)}, 0, 9, seed=0)["y"].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """
    place = seen + np.arange(len(rows["y"]))
    drawn = np.random.default_rng((seed, seen)).integers(0, place + 1)
    slot = np.where(place < size, place, drawn)
    held = 0 if kept is None else len(kept["y"])
    source = np.arange(min(size, seen + len(place)))  # what each slot holds: one of what was kept, or a new row
    for i in np.flatnonzero(slot < size):
        source[slot[i]] = held + i
    both = rows if kept is None else together([kept, rows])
    return {name: array[source] for name, array in both.items()}


class Replayed:
    """Batches of two sources side by side: a row of what is new counts 1 / (i + 1) where it is the task i."""

    def __init__(self, new: Rows, kept: Rows, task: int, size: int, seed: int) -> None:
        weighted = lambda rows, weight: rows | {"weight": np.full(len(rows["y"]), weight, np.float32)}
        shares = (weighted(new, 1 / (task + 1)), weighted(kept, task / (task + 1)))
        self.parts = [Batches(rows, min(size, len(rows["y"])), seed=seed) for rows in shares]
        self.batch_size = sum(part.batch_size for part in self.parts)

    def __getitem__(self, step: int) -> Rows:
        return together([part[step] for part in self.parts])


def batches(new: Rows, kept: Rows | None, task: int, size: int, seed: int) -> Batches | Replayed:
    """Those of a task, with as many rows again of what is kept of those before, if there is any."""
    return Batches(new, size, seed=seed) if kept is None else Replayed(new, kept, task, size, seed)


def average_accuracy(matrix: np.ndarray) -> float:
    """The mean over all tasks, when all have been learned."""
    return float(matrix[-1].mean())


def backward_transfer(matrix: np.ndarray) -> float:
    """What later tasks have added to the accuracy of earlier ones; less than 0 where they are forgotten.

    See "Gradient Episodic Memory for Continual Learning", Lopez-Paz and Ranzato, 2017.

    >>> backward_transfer(np.array([[0.9, np.nan], [0.5, 0.8]]))
    -0.4
    """
    return float((matrix[-1] - np.diag(matrix))[:-1].mean())


def forgetting(matrix: np.ndarray) -> float:
    """How far each earlier task has fallen from its best.

    See "Riemannian Walk for Incremental Learning: Understanding Forgetting and Intransigence", Chaudhry et al., 2018.
    """
    return float((np.nanmax(matrix, 0) - matrix[-1])[:-1].mean())


def matrices(found: Matrices) -> Figure:
    """Accuracy after each task (row) on each so far (column), a panel a scenario and a method."""
    methods = list(next(iter(found.values())))
    figure = Figure(figsize=(0.7 + 2.0 * len(methods), 0.5 + 2.1 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), len(methods), squeeze=False)
    for row, (scenario, own) in zip(panels, found.items(), strict=True):
        for axes, matrix in zip(row, own.values(), strict=True):
            _cells(axes, matrix)
        row[0].set_ylabel(f"{NAMES[scenario]}\nafter task", fontsize=8)
    for method, top, bottom in zip(methods, panels[0], panels[-1], strict=True):
        top.set_title(method.replace("_", " "), fontsize=10)
        bottom.set_xlabel("tested on task", fontsize=8)
    return figure


def _cells(axes: Axes, matrix: np.ndarray) -> None:
    """A matrix as shades, with its numbers."""
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1.7)
    for (i, j), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            axes.text(j, i, f"{value:.2f}".removeprefix("0"), ha="center", va="center", fontsize=8, color=INK)
    names = [str(i + 1) for i in range(len(matrix))]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def beside(found: Matrices) -> Figure:
    """Average accuracy of each method, a panel a scenario."""
    figure = Figure(figsize=(3.4 * len(found) + 1, 2.9), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (scenario, own) in zip(panels, found.items(), strict=True):
        rows = range(len(own))
        ours = [average_accuracy(matrix) for matrix in own.values()]
        axes.hlines(rows, 0, ours, color=INK, linewidth=0.6)
        axes.plot(ours, rows, "o", color=ACCENT)
        axes.set_yticks(rows, [method.replace("_", " ") for method in own])
        axes.set(title=NAMES[scenario], xlabel="average accuracy", xlim=(0, 1.03), ylim=(len(own) - 0.5, -0.5))
        axes.title.set_fontsize(10)
        axes.grid(axis="x", linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
