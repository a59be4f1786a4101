"""Population-based training: now and then the worst become copies of the best, with hyperparameters near theirs."""

from __future__ import annotations

import dataclasses

import numpy as np

from jnn import checks
from jnn.sweep._log import Log, Turn
from jnn.sweep._space import Choice, Space, Structure, Values


@dataclasses.dataclass(frozen=True)
class Population:
    """Population-based training: all train; between turns, whoever is among the worst goes on from one of the best.

    See "Population Based Training of Neural Networks", Jaderberg et al., 2017. The copy has the other's state, its own
    seed, and the other's hyperparameters, each a step further or back along its dimension. Who broke down is among the
    worst. A space for it has no `Structure`: weights of another shape cannot be taken over.

    Args:
      members: at any time.
      steps: of each.
      every: steps between two exchanges.
      share: how many are the worst, and the best.
      step: how far a hyperparameter moves, as a share of its dimension: of a rate from 1e-4 to 1e-1, 0.05 is a factor
        of 1.41.
      seed: of who is copied, and which way values move.

    Raises:
      ValueError: fewer than two members, steps or every below 1, a share not in (0, 0.5] or a step not in (0, 1).

    >>> from jnn.sweep import Log, Uniform
    >>> plan, log = Population(members=4, steps=20, every=10), Log({"dropout": Uniform(0.0, 0.5)})
    >>> values = {str(i): {"dropout": 0.1 * i} for i in range(4)}
    >>> log.add({"numbers": [0, 1, 2, 3], "steps": [10] * 4, "scores": [0.3, 0.1, 0.4, 0.2], "values": values})
    >>> plan.next(log).copies  # the worst goes on from the best
    {2: 1}
    """

    members: int
    steps: int
    every: int
    share: float = 0.25
    step: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("members", "steps", "every"):
            checks.count("Population", name, getattr(self, name))
        if not 0 < self.share <= 0.5 or not 0 < self.step < 1 or self.members < 2:
            raise ValueError(
                "Population: expected two members or more, a share from 0 to 0.5 and a step from 0 to 1, found "
                f"{self.members}, {self.share} and {self.step}."
            )

    def next(self, log: Log) -> Turn | None:
        """All, after an exchange."""
        numbers, at = list(range(self.members)), max(log.steps().values(), default=0)
        if at >= self.steps:
            return None
        copies = self._copies(log) if at else {}
        rng = np.random.default_rng((self.seed, at, 1))
        values = {to: moved(log.space, log.values(source), self.step, rng) for to, source in copies.items()}
        living = [i for i in numbers if not at or i in copies or log.alive(i)]
        return Turn(living, min(self.every, self.steps - at), copies, values) if living else None

    def _copies(self, log: Log) -> dict[int, int]:
        """Who becomes a copy of whom."""
        best = log.best(range(self.members))
        few = max(1, int(self.share * self.members))
        worst = [*best[max(len(best) - few, 1) :], *(i for i in range(self.members) if not log.alive(i))]
        rng = np.random.default_rng((self.seed, max(log.steps().values())))
        if not best:
            return {}
        chosen = rng.integers(0, min(few, len(best)), len(worst))
        return {to: best[i] for to, i in zip(sorted(worst), chosen, strict=True) if to != best[i]}


def moved(space: Space, values: Values, step: float, rng: np.random.Generator) -> Values:
    """Hyperparameters near others: each along its dimension, of a choice the next or the one before.

    Raises:
      ValueError: one is a `Structure`.
    """
    found = {}
    for name, dimension in space.items():
        if isinstance(dimension, Structure):
            raise ValueError(f"Population: {name!r} is a Structure, whose weights no other takes over. Give a Choice.")
        way = 1 if rng.random() < 0.5 else -1
        far = 1 / len(dimension.values) if isinstance(dimension, Choice) else step
        u = min(max(dimension.unit(values[name]) + way * far, 0.0), 1.0)
        found[name] = dimension.at(u)
    return found
