"""What a sweep has measured so far: turns, one after another; and what a plan makes of them.

    log.steps(), log.score(number, step), log.curve(number), log.alive(number)
    plan.next(log) -> Turn | None          who goes on, and for how many steps

Laws: a plan is a function of the log alone; scores are less for what is better, NaN for what broke down; what was
measured stays as it was, whatever comes of its member.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from jnn.sweep._space import Space, Values

Row = dict[str, Any]  # a turn, as it is saved: JSON


@dataclasses.dataclass(frozen=True)
class Turn:
    """Turn: these members make so many steps more.

    Attributes:
      numbers: of members; one that the log does not know begins now.
      steps: that each of them makes.
      copies: who becomes, before that, who: a number, and the member whose state it takes.
      values: of those, the hyperparameters from now on.
    """

    numbers: Sequence[int]
    steps: int
    copies: dict[int, int] = dataclasses.field(default_factory=dict)
    values: dict[int, Values] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Log:
    """Log of a sweep: what was measured in each turn.

    Attributes:
      space: what could be chosen.
      rows: a dict for each turn: "numbers", "steps" (of each, after it), "scores" (of each, less is better), "values"
        (of those who began or changed, by number as text), and "train" and "validation", metrics of each by name.
    """

    space: Space
    rows: list[Row] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._steps: dict[int, int] = {}
        self._scores: dict[tuple[int, int], float] = {}
        self._last: dict[int, float] = {}
        self._values: dict[int, Values] = {}
        self._begun: dict[int, Values] = {}
        rows, self.rows = self.rows, []
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """One more turn."""
        self.rows.append(row)
        for number, step, score in zip(row["numbers"], row["steps"], row["scores"], strict=True):
            self._steps[number] = step
            self._last[number] = score
            if not math.isnan(score) or (number, step) not in self._scores:  # who breaks down is where it was before
                self._scores[number, step] = score
        values = {int(number): values for number, values in row["values"].items()}
        self._values |= values
        self._begun = values | self._begun

    def steps(self) -> dict[int, int]:
        """How far each member has come."""
        return dict(self._steps)

    def values(self, number: int) -> Values:
        """The hyperparameters of a member, by which it trained last."""
        return self._values[number]

    def begun(self, number: int) -> Values:
        """The hyperparameters by which a member trained first."""
        return self._begun[number]

    def score(self, number: int, step: int | None = None) -> float:
        """The score of a member at a step of its own, NaN if it was not looked at then; else of its last turn."""
        return self._last[number] if step is None else self._scores.get((number, step), math.nan)

    def alive(self, number: int) -> bool:
        """Whether a member has not broken down."""
        return not math.isnan(self.score(number))

    def best(self, numbers: Iterable[int], step: int | None = None) -> list[int]:
        """Members by their score, the best first; without those who broke down."""
        score = lambda number: self.score(number, step)
        return sorted((number for number in numbers if not math.isnan(score(number))), key=score)

    def curve(self, number: int) -> list[tuple[int, float]]:
        """The steps at which a member was looked at, and its scores."""
        return [(step, score) for (one, step), score in self._scores.items() if one == number]


class Plan(Protocol):
    """Plan: who goes on for how long, as a function of what was measured.

    Attributes:
      steps: that a member makes at most.
    """

    @property
    def steps(self) -> int: ...

    def next(self, log: Log) -> Turn | None:
        """The turn that is due; None at the end."""
        ...


def check_rungs(where: str, rungs: Sequence[int], eta: int) -> None:
    """Raises ValueError unless rungs rise and a share of 1/eta is one."""
    if not isinstance(rungs, Sequence) or isinstance(rungs, str):
        raise TypeError(f"{where}: expected rungs such as (50, 100, 200), found {rungs!r}. One rung is (steps,).")
    if not rungs or rungs[0] < 1 or list(rungs) != sorted(set(rungs)) or eta < 2:
        raise ValueError(
            f"{where}: expected rungs that rise from 1 or more, such as (50, 100, 200), and eta of 2 or more; found "
            f"{tuple(rungs)} and {eta}."
        )
