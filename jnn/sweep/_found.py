"""What a search found: its log, its members, and which of them are best."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jnn.sweep._log import Log, Plan
from jnn.sweep._members import Members
from jnn.sweep._space import Values
from jnn.sweep._store import Store
from jnn.sweep._sweep import Sweep

Mode = Literal["min", "max"]


def sign(mode: Mode) -> int:
    """What makes less better.

    Raises:
      ValueError: the mode is neither.
    """
    if mode not in ("min", "max"):
        raise ValueError(f"search: expected mode 'min' or 'max', found {mode!r}.")
    return 1 if mode == "min" else -1


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
      log: of all turns.
      plan: that it went by.
      store: all members.
      metric, mode: what was looked at, and whether "min" or "max" is better.
    """

    log: Log
    plan: Plan
    store: Store
    metric: str
    mode: Mode

    def ranking(self) -> list[int]:
        """The members that came furthest, all the way where anybody did, the best first."""
        living = {number: step for number, step in self.log.steps().items() if self.log.alive(number)}
        return self.log.best(number for number, step in living.items() if step == max(living.values()))

    def values(self, number: int) -> Values:
        """The hyperparameters of a member."""
        return self.log.values(number)

    def value(self, number: int) -> float:
        """The metric of a member, at its last step."""
        return sign(self.mode) * self.log.score(number)

    def member(self, number: int) -> tuple[Sweep, Members]:
        """The sweep of a member, and it alone: `sweep.alone(members, 0)` is its run."""
        return self.store.member(number)
