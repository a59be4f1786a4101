"""Whether a winner is more than luck: the best members once more, by seeds that had no part in choosing them.

Laws: the test is looked at by the winner alone, and once; all that are compared have the same seeds, and none of them
the same hyperparameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jnn import checks
from jnn.sweep._found import Found, sign
from jnn.sweep._space import Values, numbers_of, structure_of

RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """Confirmation: what the best members were by fresh seeds, and on the test.

    Attributes:
      numbers: of the members in the search, the best there first.
      values: their hyperparameters.
      scores: (members, seeds), the metric on what validates; NaN of a run that broke down.
      winner: the row whose mean is best now.
      confidence: the share of resamples of the seeds in which it still is.
      first: what the search said of its best member, which was chosen for it and so is too good.
      test: (seeds,), the metric of the winner's runs on the test.
    """

    numbers: list[int]
    values: list[Values]
    scores: np.ndarray
    winner: int
    confidence: float
    first: float
    test: np.ndarray


def confirm(
    found: Found,
    validation: Mapping[str, Any],
    test: Mapping[str, Any],
    *,
    top: int = 4,
    seeds: int = 8,
    first_seed: int = 1_000_000,
) -> Confirmation:
    """Confirmation runs: the best members of a search trained by fresh seeds, and the best of them on average tested.

    How sure that is, is told by a paired bootstrap over the seeds ("Bootstrap Methods: Another Look at the Jackknife",
    Efron, 1979): of two members that differ by chance alone either is best about half of the time.

    Args:
      found: by a plan under which hyperparameters stay as they are.
      validation, test: arrays; the second is read once, at the end.
      top: how many of the best; of members that differ by their seeds alone (`Repeats`) the best stands for all.
      seeds: of each; `first_seed` is the first, and no member of the search has one of them.

    Returns:
      Their scores by these seeds, which of them won and how sure that is, and its test.

    Raises:
      ValueError: every member of the search broke down, or a run of each of the best; a seed is a member's; top or
        seeds are below 1.
    """
    checks.count("confirm", "top", top)
    checks.count("confirm", "seeds", seeds)
    if not (numbers := distinct(found)[:top]):
        raise ValueError("confirm: every member of the search broke down. Give a space with lower rates.")
    values, own = [found.values(number) for number in numbers], list(range(first_seed, first_seed + seeds))
    if taken := {int(seed) for group in found.store.groups.values() for seed in group.members.seed} & {*own}:
        raise ValueError(f"confirm: a member of the search has the seed {min(taken)}. Give another first_seed.")
    runs = [_trained(found, one, own) for one in values]
    scores = np.stack([sweep.evaluate(members, validation)[found.metric] for sweep, members in runs])
    less = np.where(np.isfinite(scores), sign(found.mode) * scores, np.inf)
    if not np.isfinite(less).all(1).any():
        raise ValueError(f"confirm: a run of each of the {len(numbers)} best members broke down.")
    winner = int(less.mean(1).argmin())
    sweep, members = runs[winner]
    tested = sweep.evaluate(members, test)[found.metric]
    return Confirmation(numbers, values, scores, winner, confidence(less, winner), found.value(numbers[0]), tested)


def distinct(found: Found) -> list[int]:
    """The ranking, without members whose hyperparameters are those of a better one."""
    space = found.log.space
    first: dict[Any, int] = {}
    for number in found.ranking():
        values = found.values(number)
        first.setdefault(tuple((numbers_of(space, values) | structure_of(space, values)).items()), number)
    return [*first.values()]


def confidence(scores: np.ndarray, winner: int) -> float:
    """The share of paired resamples of the seeds in which a row of (rows, seeds) has the least mean.

    >>> confidence(np.array([[0.1, 0.2, 0.1], [0.5, 0.6, 0.4]]), 0)
    1.0
    """
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, scores.shape[1], (RESAMPLES, scores.shape[1]))
    return float((scores[:, chosen].mean(-1).argmin(0) == winner).mean())


def _trained(found: Found, values: Values, seeds: list[int]) -> tuple[Any, Any]:
    """Runs by the same hyperparameters, side by side."""
    sweep = found.store.sweep(values)
    members = sweep.begin([numbers_of(found.log.space, values)] * len(seeds), seeds)
    return sweep, sweep.train(members, found.plan.steps)[0]
