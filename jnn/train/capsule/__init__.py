"""Failure capsules: a bad step, written down and made again elsewhere to find its cause.

What lives here writes a step down (`_capsule`, in the plain formats of `_plain`, from what several processes hold:
`_gather`), says what is known without making it again (`_diagnose`), and makes it again as its program was started
(`_entry`, `_rerun`, and `python -m jnn.replay`). What does not: the search for the first primitive whose result was
not finite, which is `jnn.inspect.nonfinite`; anything that costs a run that goes well.
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
