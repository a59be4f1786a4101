"""What is measured in one process, the same for every framework.

step time      minimum and median of repeats, each of many steps ended by reading one number
processor      the least of a repeat's time on all cores, a step: the program's own, and the operating system's for it,
               most of which is memory that it gives out anew; what else runs on the machine weighs less on these
first step     from the process's start (its parent's clock) to the first of these: imports, set-up, compilation
peak memory    the process's largest resident set, compilation included

Nothing here knows a framework, and nothing is asserted about time.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np


def fell(first: float, last: float) -> None:
    """Raises RuntimeError unless the loss is lower at last: what was timed is training."""
    if not last < first:
        raise RuntimeError(f"The loss did not fall on a fixed batch: {first} at first, {last} at last.")


class Built(NamedTuple):
    """A workload, ready to run.

    Attributes:
      step: trains on the fixed batch and returns its output, perhaps before it is computed.
      read: waits for such an output and gives the last number in it: of training the loss.
      parameters: how many numbers are trained.
      updates: how many updates one call of step makes, or how many tokens it writes.
      check: of the first number and the last one, raises unless they are those of what should be timed.
    """

    step: Callable[[], Any]
    read: Callable[[Any], float]
    parameters: int
    updates: int = 1
    check: Callable[[float, float], None] = fell


def training_step(update: Callable[[Any, Any], tuple[Any, Any]], state: Any, batch: Any) -> Callable[[], Any]:
    """The step of `Built`: each call is `update(state, batch) -> state, output` of the state of the last one."""

    def step() -> Any:
        nonlocal state
        state, output = update(state, batch)
        return output

    return step


def measure(build: Callable[[], Built], *, started: float, seconds: float, repeats: int) -> dict[str, float]:
    """Builds and runs a workload in this process.

    Args:
      build: returns the workload.
      started: `time.time()` of the parent just before it started this process.
      seconds: the least duration of a repeat.
      repeats: how many.

    Returns:
      Milliseconds a step, also of processor time, seconds to the first, megabytes at the peak, the parameter count and
      two numbers read.

    Raises:
      RuntimeError: the loss did not fall, or what else the workload's check found.
    """
    built = build()
    first = built.read(built.step())
    first_step_s = time.time() - started
    calls = enough_calls(built, seconds)
    used = [processor_seconds()]
    times = []
    for _ in range(repeats):
        times.append(timed(built, calls) / (calls * built.updates) * 1e3)
        used.append(processor_seconds())
    own = [[(b - a) / (calls * built.updates) * 1e3 for a, b in zip(*pair, strict=True)] for pair in pairwise(used)]
    user, system = min(own, key=sum)
    last, peak = built.read(built.step()), peak_megabytes()
    built.check(first, last)
    return {
        "step_ms": min(times),
        "median_ms": statistics.median(times),
        "user_ms": user,
        "system_ms": system,
        "first_step_s": first_step_s,
        "peak_mb": peak,
        "parameters": built.parameters,
        "first": first,
        "last": last,
    }


def enough_calls(built: Built, seconds: float) -> int:
    """How many calls of step last at least this long: doubles until they do, which also warms up."""
    calls = 1
    while timed(built, calls) < seconds:
        calls *= 2
    return calls


def timed(built: Built, calls: int) -> float:
    """Seconds for this many steps, until the last number is known."""
    start = time.perf_counter()
    for _ in range(calls):
        output = built.step()
    built.read(output)
    return time.perf_counter() - start


def processor_seconds() -> tuple[float, float]:
    """Processor time so far, on all cores: the program's own, and the operating system's for it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def peak_megabytes() -> float:
    """The largest resident set so far. Linux counts in kilobytes, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def likeliest(tokens: Any, logits: Any, prompt: int) -> None:
    """Raises RuntimeError unless tokens (b, t) behind the prompt are those that logits (b, t, vocab) of all find best.

    Sums in another order may turn a tie: one token in a hundred may be another.
    """
    same = np.mean(np.asarray(tokens)[:, prompt:] == np.asarray(logits)[:, prompt - 1 : -1].argmax(-1))
    if same < 0.99:
        raise RuntimeError(f"Of the tokens that were written {same:.0%} are those of the whole network, not all.")
