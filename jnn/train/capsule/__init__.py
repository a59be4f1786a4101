"""Failure capsules: a bad step, written down and made again elsewhere to find its cause.

    write_capsule(folder, step=..., batch=..., state=..., message=...) -> path      as `fit` does
    read_capsule(path) -> Capsule
    replay(path, step, like) -> Replay

What lives here writes a step down (`_capsule`, in the plain formats of `_plain`), says what is known without making it
again (`_diagnose`), and makes it again (`_replay`), by a step that its caller has built. What does not: the search for
the first primitive whose result was not finite, which is `jnn.inspect.nonfinite`; anything that costs a run that goes
well.
"""

from jnn.train.capsule._capsule import Capsule, read_capsule, write_capsule
from jnn.train.capsule._replay import Replay, replay

__all__ = [
    "Capsule",
    "Replay",
    "read_capsule",
    "replay",
    "write_capsule",
]
