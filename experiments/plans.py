"""A plan of sweeps that compares nobody: all are trained, and looked at on the way.

EachItsLength(members, looks)           as `jnn.sweep.search` takes it

Law: nobody ends before its own last step, which its hyperparameter "steps" says, or else that of all.
"""

from __future__ import annotations

import dataclasses

from jnn.sweep import Log, Turn


@dataclasses.dataclass(frozen=True)
class EachItsLength:
    """Plan by which every member trains as long as its hyperparameters say, and no score ends any.

    Args:
      members: that begin.
      looks: steps after which all that are left are measured; the hyperparameter "steps", if there is one, is one of
        these.

    >>> plan, log = EachItsLength(2, (10, 20)), Log({})
    >>> plan.next(log)
    Turn(numbers=[0, 1], steps=10, copies={}, values={})
    >>> values = {"0": {"steps": 10}, "1": {"steps": 20}}
    >>> log.add({"numbers": [0, 1], "steps": [10, 10], "scores": [0.1, 0.2], "values": values})
    >>> plan.next(log)
    Turn(numbers=[1], steps=10, copies={}, values={})
    """

    members: int
    looks: tuple[int, ...]

    @property
    def steps(self) -> int:
        """That a member makes at most."""
        return self.looks[-1]

    def next(self, log: Log) -> Turn | None:
        """All whose end has not come, up to the next look."""
        at = max(log.steps().values(), default=0)
        goes_on = lambda i: log.alive(i) and log.values(i).get("steps", self.steps) > at
        going = [i for i in range(self.members) if at == 0 or goes_on(i)]
        due = [look for look in self.looks if look > at]
        return Turn(going, due[0] - at) if going and due else None
