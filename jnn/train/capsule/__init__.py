"""Failures: how a bad step is made again elsewhere to find its cause.

What lives here writes a step down (`capsule`, in the plain formats of `plain`, from what several
processes hold: `gather`), makes it again as its program was started (`entry`, `rerun`, and `python -m jnn.replay`), and
names the first primitive and source line whose result was not finite (`blame`). What does not: anything that costs a
run that goes well.
"""

from jnn.train.capsule._capsule import Entry
from jnn.train.capsule._rerun import Replay, finish, is_due, replay, replaying, rerun

__all__ = [
    "Entry",
    "Replay",
    "finish",
    "is_due",
    "replay",
    "replaying",
    "rerun",
]
