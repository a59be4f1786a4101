"""Runs an experiment and kills it at a random moment of a kind, once for each kind: for `test_kills`.

python -m tests.experiments.killed KIND,KIND,... DEATHS experiments.digits --steps 60 --workdir FOLDER

A kind is "step", "save", "evaluate" or "final": by SIGKILL soon after an update began, a save was started, an
evaluation was to be done, the report was to be written; "term" or "stop": by SIGTERM or SIGSTOP soon after an update
began. DEATHS is a file with a line for each death so far: it says which kind is next, and when all have been, nobody
dies any more. Their number is the seed of which of these moments, how soon, and which process of several.
"""

import os
import random
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

from experiments import harness
from jnn.train import Ledger, watch
from jnn.train.checkpoint import Checkpoints

# kind -> among how many calls one is chosen, the longest time from its beginning in seconds, and what ends it
MOMENTS = {
    "step": (20, 0.02, signal.SIGKILL),
    "term": (20, 0.02, signal.SIGTERM),
    "stop": (20, 0.02, signal.SIGSTOP),
    "save": (2, 0.3, signal.SIGKILL),
    "evaluate": (1, 0.1, signal.SIGKILL),
    "final": (1, 0.5, signal.SIGKILL),
}


def die_during(kind: str, seed: int, deaths: Path):
    """A function to be called at every such moment."""
    chance = random.Random(f"{kind} {seed}")
    among, longest, end = MOMENTS[kind]
    left, delay = chance.randrange(among), chance.uniform(0, longest)

    def die() -> None:
        time.sleep(delay)
        with deaths.open("a") as file:
            print(kind, file=file)
        os.kill(os.getpid(), end)

    def moment() -> None:
        nonlocal left
        if left == 0:
            threading.Thread(target=die, daemon=True).start()
        left -= 1

    return moment


def so_far(deaths: Path) -> list[str]:
    """The kinds of death that have come, in order."""
    return deaths.read_text().split() if deaths.exists() else []


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


def arm(kind: str, seed: int, deaths: Path) -> None:
    """Has this process die at a moment of that kind."""
    moment = die_during(kind, seed, deaths)
    if kind == "save":
        before(Checkpoints, "save", moment)
    elif kind == "evaluate":
        before(Ledger, "once", moment)
    elif kind == "final":
        before(harness, "write_report", moment)
    else:
        watch(lambda step, batch: moment())


def main(kinds: str, deaths: str, module: str, *options: str) -> None:
    seed = len(so_far(Path(deaths)))
    kind = dict(enumerate(kinds.split(","))).get(seed)
    if kind is not None and chosen(kind, seed):
        arm(kind, seed, Path(deaths))
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
