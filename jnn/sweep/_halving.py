"""Successive halving: all members train a little, the better half goes on for longer, and so on.

Law: of n members that begin, rung k is left by the n / eta**k that were best when they came to it.
"""

from __future__ import annotations

import dataclasses

from jnn import checks
from jnn.sweep._log import Log, Turn, check_rungs


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    """Successive halving: of the members that come to a rung, the best go on to the next. One rung is plain training.

    See "Non-stochastic Best Arm Identification and Hyperparameter Optimization", Jamieson and Talwalkar, 2016.

    Args:
      members: that begin, in each bracket.
      rungs: steps after which the worse ones end; the last is the end for all.
      eta: one of so many goes on.
      brackets: how often all of this is done; a sampler learns between them.
      every: steps between two looks at the scores, for curves; at rungs alone by default.

    Raises:
      TypeError: rungs are no sequence.
      ValueError: members or brackets are below 1, eta below 2, or rungs do not rise.

    >>> from jnn.sweep import Log
    >>> plan, log = SuccessiveHalving(members=4, rungs=(10, 20)), Log({})
    >>> plan.next(log)
    Turn(numbers=[0, 1, 2, 3], steps=10, copies={}, values={})
    >>> log.add({"numbers": [0, 1, 2, 3], "steps": [10] * 4, "scores": [0.3, 0.1, float("nan"), 0.2], "values": {}})
    >>> plan.next(log).numbers
    [1, 3]
    """

    members: int
    rungs: tuple[int, ...]
    eta: int = 2
    brackets: int = 1
    every: int | None = None

    def __post_init__(self) -> None:
        for name in ("members", "brackets"):
            checks.count("SuccessiveHalving", name, getattr(self, name))
        check_rungs("SuccessiveHalving", self.rungs, self.eta)

    @property
    def steps(self) -> int:
        """That a member makes at most."""
        return self.rungs[-1]

    def next(self, log: Log) -> Turn | None:
        """The first bracket, and rung, that somebody has still to come to."""
        steps = log.steps()
        for bracket in range(self.brackets):
            numbers = list(range(bracket * self.members, (bracket + 1) * self.members))
            for rung in self.rungs:
                if behind := [i for i in numbers if steps.get(i, 0) < rung and (i not in steps or log.alive(i))]:
                    left = rung - steps.get(behind[0], 0)
                    return Turn(behind, min(left, self.every or left))
                numbers = sorted(log.best(numbers, rung)[: max(1, len(numbers) // self.eta)])
        return None
