"""What is measured in one process, the same for every framework.

step time      minimum and median of repeats, each of many steps ended by reading one loss
first step     from the process's start (its parent's clock) to the first loss: imports, set-up, compilation
peak memory    the process's largest resident set, compilation included

Nothing here knows a framework, and nothing is asserted about time.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Built(NamedTuple):
    """A workload, ready to train.

    Attributes:
      step: trains on the fixed batch and returns its output, perhaps before it is computed.
      loss: waits for such an output and gives the last loss in it.
      parameters: how many numbers are trained.
      updates: how many updates one call of step makes.
    """

    step: Callable[[], Any]
    loss: Callable[[Any], float]
    parameters: int
    updates: int = 1


def measure(build: Callable[[], Built], *, started: float, seconds: float, repeats: int) -> dict[str, float]:
    """Builds and trains a workload in this process.

    Args:
      build: returns the workload.
      started: `time.time()` of the parent just before it started this process.
      seconds: the least duration of a repeat.
      repeats: how many.

    Returns:
      Milliseconds a step, seconds to the first, megabytes at the peak, the parameter count and two losses.

    Raises:
      RuntimeError: the loss did not fall, so what was timed is not training.
    """
    built = build()
    first_loss = built.loss(built.step())
    first_step_s = time.time() - started
    calls = enough_calls(built, seconds)
    times = [timed(built, calls) / (calls * built.updates) * 1e3 for _ in range(repeats)]
    last_loss = built.loss(built.step())
    if not last_loss < first_loss:
        raise RuntimeError(f"The loss did not fall on a fixed batch: {first_loss} at first, {last_loss} at last.")
    return {
        "step_ms": min(times),
        "median_ms": statistics.median(times),
        "first_step_s": first_step_s,
        "peak_mb": peak_megabytes(),
        "parameters": built.parameters,
        "first_loss": first_loss,
        "last_loss": last_loss,
    }


def enough_calls(built: Built, seconds: float) -> int:
    """How many calls of step last at least this long: doubles until they do, which also warms up."""
    calls = 1
    while timed(built, calls) < seconds:
        calls *= 2
    return calls


def timed(built: Built, calls: int) -> float:
    """Seconds for this many steps, until the last loss is known."""
    start = time.perf_counter()
    for _ in range(calls):
        output = built.step()
    built.loss(output)
    return time.perf_counter() - start


def peak_megabytes() -> float:
    """The largest resident set so far. Linux counts in kilobytes, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
