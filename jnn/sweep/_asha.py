"""ASHA: successive halving that waits for nobody, in a fixed number of places.

Law: all places are taken as long as somebody is left to begin or to be promoted.
"""

from __future__ import annotations

import dataclasses

from jnn import checks
from jnn.sweep._log import Log, Turn, check_rungs


@dataclasses.dataclass(frozen=True)
class Asha:
    """ASHA, asynchronous successive halving: a place that falls free goes to the best who waits, or to a new member.

    See "A System for Massively Parallel Hyperparameter Tuning", Li et al., 2020. Who comes to a rung waits there until
    it is among the best 1/eta of all who came so far; nobody waits for a rung to be full. The clock is a turn of
    `rungs[0]` steps, which all places make together, so that a sweep is a function of its scores and no race.

    Args:
      members: that begin, in all.
      slots: places, each of one member at a time: a power of two fills a program.
      rungs: steps after which a member waits; each a multiple of the first.
      eta: one of so many is promoted.

    Raises:
      TypeError: rungs are no sequence.
      ValueError: members or slots are below 1, eta below 2, or rungs do not rise by multiples of the first.

    >>> from jnn.sweep import Log
    >>> plan, log = Asha(members=6, slots=4, rungs=(5, 10)), Log({})
    >>> log.add({"numbers": [0, 1, 2, 3], "steps": [5] * 4, "scores": [0.3, 0.1, 0.4, 0.2], "values": {}})
    >>> plan.next(log)  # the best half of rung 5 goes on, and two begin
    Turn(numbers=[1, 3, 4, 5], steps=5, copies={}, values={})
    """

    members: int
    slots: int
    rungs: tuple[int, ...]
    eta: int = 2

    def __post_init__(self) -> None:
        for name in ("members", "slots"):
            checks.count("Asha", name, getattr(self, name))
        check_rungs("Asha", self.rungs, self.eta)
        if any(rung % self.rungs[0] for rung in self.rungs):
            raise ValueError(f"Asha: expected rungs that are multiples of the first, found {self.rungs}.")

    @property
    def steps(self) -> int:
        """That a member makes at most."""
        return self.rungs[-1]

    def next(self, log: Log) -> Turn | None:
        """Those under way, then those who are promoted, then new ones."""
        steps = log.steps()
        running = [i for i, step in steps.items() if step not in self.rungs and log.alive(i)]
        free = self.slots - len(running)
        promoted = [i for rung in reversed(self.rungs[:-1]) for i in self._promotable(log, rung)][:free]
        new = range(len(steps), min(self.members, len(steps) + free - len(promoted)))
        numbers = sorted([*running, *promoted, *new])
        return Turn(numbers, self.rungs[0]) if numbers else None

    def _promotable(self, log: Log, rung: int) -> list[int]:
        """Who waits at a rung and is among the best of all who came to it."""
        came = [i for i, step in log.steps().items() if step >= rung]
        best = log.best(came, rung)[: len(came) // self.eta]
        return [i for i in best if log.steps()[i] == rung and log.alive(i)]
