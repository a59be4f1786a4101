"""How long calls take: medians, in turns, so that what else a machine does meanwhile falls on all of them alike.

milliseconds(calls, repeats) -> {name: median}

It needs NumPy alone, for it runs where other runtimes are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

WARM_UP = 3  # rounds before those that count, of which the first compiles


def milliseconds(
    calls: Mapping[str, Callable[[], Any]], repeats: int, *, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median milliseconds of each call, one after another and again.

    Args:
      calls: by name; each ends when what it computes is there.
      repeats: rounds that count.
      clock: seconds; `time.process_time` where other processes are busy.

    >>> ticks = iter(range(100))
    >>> milliseconds({"one": lambda: None, "two": lambda: None}, 5, clock=lambda: next(ticks))
    {'one': 1000.0, 'two': 1000.0}
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(WARM_UP + repeats):
        for name, call in calls.items():
            begun = clock()
            call()
            seconds[name].append(clock() - begun)
    return {name: 1e3 * float(np.median(taken[WARM_UP:])) for name, taken in seconds.items()}
