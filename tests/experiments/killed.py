"""Runs an experiment and kills it, by SIGKILL, at a random moment of a kind: for `test_kills`.

python -m tests.experiments.killed KIND SEED experiments.digits --steps 60 --workdir FOLDER

KIND is "step", "save", "evaluate" or "final": soon after an update began, a save was started, an evaluation was to be
done, the report was to be written; the seed says which of these, and how soon.
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
MOMENTS = {"step": (60, 0.02), "save": (4, 0.3), "evaluate": (3, 0.1), "final": (1, 0.5)}


def die_during(kind: str, seed: int):
    """A function to be called at every such moment."""
    chance = random.Random(f"{kind} {seed}")
    among, longest = MOMENTS[kind]
    left, delay = chance.randrange(among), chance.uniform(0, longest)

    def die() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def moment() -> None:
        nonlocal left
        if left == 0:
            threading.Thread(target=die, daemon=True).start()
        left -= 1

    return moment


def before(owner, name: str, moment) -> None:
    """Lets the moment come whenever this function is called."""
    original = getattr(owner, name)

    def announced(*args, **kwargs):
        moment()
        return original(*args, **kwargs)

    setattr(owner, name, announced)


def main(kind: str, seed: str, module: str, *options: str) -> None:
    moment = die_during(kind, int(seed))
    if kind == "step":
        watch.set(lambda step, batch: moment())
    elif kind == "save":
        before(Checkpoints, "save", moment)
    elif kind == "evaluate":
        before(Ledger, "once", moment)
    else:
        before(harness, "write_report", moment)
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
