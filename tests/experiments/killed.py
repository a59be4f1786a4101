"""Runs an experiment and kills it at a random moment of a kind: for `test_kills`.

python -m tests.experiments.killed KIND SEED experiments.digits --steps 60 --workdir FOLDER

KIND is "step", "save", "evaluate" or "final": by SIGKILL soon after an update began, a save was started, an evaluation
was to be done, the report was to be written; or "term": by SIGTERM soon after an update began. The seed says which of
these, how soon, and which process of several.
"""

import os
import random
import runpy
import signal
import sys
import threading
import time

from experiments import harness
from jnn.train.checkpoint import Checkpoints
from jnn.train.hooks import Ledger
from jnn.train.run import watch

# kind -> among how many calls one is chosen, and the longest time from its beginning, in seconds
MOMENTS = {"step": (60, 0.02), "term": (60, 0.02), "save": (2, 0.3), "evaluate": (1, 0.1), "final": (1, 0.5)}


def die_during(kind: str, seed: int):
    """A function to be called at every such moment."""
    chance = random.Random(f"{kind} {seed}")
    among, longest = MOMENTS[kind]
    left, delay = chance.randrange(among), chance.uniform(0, longest)

    def die() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGTERM if kind == "term" else signal.SIGKILL)

    def moment() -> None:
        nonlocal left
        if left == 0:
            threading.Thread(target=die, daemon=True).start()
        left -= 1

    return moment


def chosen(kind: str, seed: int) -> bool:
    """Whether this process is the one of its job to die; the first one alone writes a report."""
    processes, rank = int(os.environ.get("JNN_PROCESSES", "1")), int(os.environ.get("JNN_PROCESS", "0"))
    return rank == (0 if kind == "final" else random.Random(seed).randrange(processes))


def before(owner, name: str, moment) -> None:
    """Lets the moment come whenever this function is called."""
    original = getattr(owner, name)

    def announced(*args, **kwargs):
        moment()
        return original(*args, **kwargs)

    setattr(owner, name, announced)


def main(kind: str, seed: str, module: str, *options: str) -> None:
    moment = die_during(kind, int(seed))
    if not chosen(kind, int(seed)):
        kind = "none"
    if kind in ("step", "term"):
        watch.set(lambda step, batch: moment())
    elif kind == "save":
        before(Checkpoints, "save", moment)
    elif kind == "evaluate":
        before(Ledger, "once", moment)
    elif kind == "final":
        before(harness, "write_report", moment)
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
