"""Searches of architectures of which all has been measured, so that what a search costs is a look-up.

Table(steps, validation, test)          of every architecture: looks at some runs, and what is true
random_search, halving, evolution(table, rng) -> Trace
regret(table, trace, costs) -> (costs,)

Laws: a search sees what validates, of one run each time that it trains; regret is of the test, on average over runs.
Costs are steps over those of one training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.cells import ARCHITECTURES, OPERATIONS, Architecture
from jnn.sweep import Log, SuccessiveHalving

Trace = list[tuple[float, int]]  # what was spent so far, and which architecture is thought to be best
NUMBERS = {architecture: number for number, architecture in enumerate(ARCHITECTURES)}


class Table(NamedTuple):
    """What was measured of each architecture.

    Attributes:
      steps: (looks,), the last of which is the end of a training.
      validation: (architectures, runs, looks) accuracies.
      test: (architectures,) mean accuracies at the end: what is true.
    """

    steps: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def trained(self, number: int, rng: np.random.Generator) -> float:
        """What validates after a whole training, by chance of one run or another."""
        return float(self.validation[number, rng.integers(self.validation.shape[1]), -1])


def random_search(table: Table, rng: np.random.Generator) -> Trace:
    """Random search without repetition: each is trained to the end; the best so far."""
    return _best_so_far(rng.permutation(len(table.test)), table, rng)


def evolution(table: Table, rng: np.random.Generator, *, population: int = 8, sample: int = 3) -> Trace:
    """Regularized evolution: the best of a sample has a child, one of whose edges differs, and the oldest dies.

    See "Regularized Evolution for Image Classifier Architecture Search", Real et al., 2019.
    """
    n = len(table.test)
    began = rng.choice(n, population, replace=False)
    living = [(table.trained(number, rng), int(number)) for number in began]
    tried = list(living)
    while len(tried) < n:
        chosen = [living[i] for i in rng.choice(population, sample, replace=False)]
        child = NUMBERS[mutated(ARCHITECTURES[max(chosen)[1]], rng)]
        living = [*living[1:], (table.trained(child, rng), child)]
        tried.append(living[-1])
    return [(i + 1.0, max(tried[: i + 1])[1]) for i in range(len(tried))]


def mutated(architecture: Architecture, rng: np.random.Generator) -> Architecture:
    """The same but for the operation of one edge.

    >>> sum(a != b for a, b in zip((0, 1, 2), mutated((0, 1, 2), np.random.default_rng(0))))
    1
    """
    edge, other = rng.integers(len(architecture)), rng.integers(1, len(OPERATIONS))
    changed = list(architecture)
    changed[edge] = int((changed[edge] + other) % len(OPERATIONS))
    return tuple(changed)


def halving(table: Table, rng: np.random.Generator, *, members: int = 16) -> Trace:
    """Random search with early stopping: brackets of successive halving, by the plan that a sweep goes by."""
    order, runs = rng.permutation(len(table.test)), table.validation.shape[1]
    run = rng.integers(runs, size=len(order))
    plan = SuccessiveHalving(members, tuple(table.steps.tolist()), brackets=len(order) // members)
    log, spent, came, trace = Log({}), 0, [], []
    while (turn := plan.next(log)) is not None:
        at = log.steps()
        steps = [at.get(i, 0) + turn.steps for i in turn.numbers]
        looks = np.searchsorted(table.steps, steps)
        scores = [table.validation[order[i], run[i], look] for i, look in zip(turn.numbers, looks, strict=True)]
        log.add({"numbers": turn.numbers, "steps": steps, "scores": [-score for score in scores], "values": {}})
        spent += turn.steps * len(turn.numbers)
        came += [(*of_one, int(order[i])) for *of_one, i in zip(steps, scores, turn.numbers, strict=True)]
        trace.append((spent / table.steps[-1], max(came)[-1]))  # of those that came furthest, the best
    return trace


SEARCHES: dict[str, Callable[[Table, np.random.Generator], Trace]] = {
    "random search": random_search,
    "successive halving": halving,
    "regularized evolution": evolution,
}


def regret(table: Table, trace: Trace, costs: np.ndarray) -> np.ndarray:
    """How far the one that is thought best is behind the one that is, after so much; NaN before there is one.

    >>> table = Table(np.array([1]), np.zeros((2, 1, 1)), np.array([0.5, 0.75]))
    >>> regret(table, [(1.0, 0), (2.0, 1)], np.array([0.5, 1.0, 5.0])).tolist()
    [nan, 0.25, 0.0]
    """
    spent, chosen = (np.array(x) for x in zip(*trace, strict=True))
    last = np.searchsorted(spent, costs, side="right") - 1
    return np.where(last < 0, np.nan, table.test.max() - table.test[chosen[np.maximum(last, 0)]])


def _best_so_far(numbers: np.ndarray, table: Table, rng: np.random.Generator) -> Trace:
    tried = [(table.trained(number, rng), int(number)) for number in numbers]
    return [(i + 1.0, max(tried[: i + 1])[1]) for i in range(len(tried))]
