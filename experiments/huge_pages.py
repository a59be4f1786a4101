"""Huge pages for an experiment's large buffers, which Linux hands out where the C library asks for them.

XLA asks for the temporaries of a step anew at each step, and the operating system clears each page of them as it is
first touched. In pages of 2 MiB a step that needs much memory takes a fifth to two fifths less time
(docs/performance.md). The C library is told by its environment, before a program starts; so
`python -m experiments.NAME` starts itself again, once, as the same process, before it imports anything else. Where
GLIBC_TUNABLES is set, if to nothing, nothing is done; nor for the benchmarks, which measure what everybody has who sets
nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

VARIABLE, VALUE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"


def is_due(argv: Sequence[str], environ: Mapping[str, str], platform: str) -> bool:
    """Whether a program that was started so is an experiment that could have huge pages, and has not asked for them.

    >>> is_due(("python", "-m", "experiments.cifar10", "--seed", "1"), {}, "linux")
    True
    """
    module = argv[argv.index("-m") + 1] if "-m" in argv[:-1] else ""
    measures = module.startswith("experiments.benchmarks")
    return platform == "linux" and module.startswith("experiments.") and not measures and VARIABLE not in environ


def ask() -> None:
    """Asks for huge pages where that is due: starts this process again with the variable set."""
    if sys.executable and is_due(sys.orig_argv, os.environ, sys.platform):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, VARIABLE: VALUE})
