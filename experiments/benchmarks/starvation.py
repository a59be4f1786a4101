"""Whether data starves the step: the CIFAR-10 experiment's step with real data, beside one batch that stays put.

python -m experiments.benchmarks.starvation [--rounds 5] [--seconds 3]

Every way to feed the step takes its turn in each round; the table has the ratio of step times, the median of the
rounds and their spread. 1.00 means that data costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import optax

import jnn
from experiments import datasets
from experiments.cifar10 import Config, make_loss, network_spec
from jnn.data import Batches, ReadAhead, SourceBatches, prefetch
from jnn.train import create_state, make_step

Feed = Callable[[], Iterator[Any]]


def feeds(training: dict, config: Config, stack: Any) -> dict[str, Feed]:
    """Name -> an endless iterator of batches."""
    arrays = Batches(training, config.batch_size, seed=0)
    rows = [{"x": x, "y": y} for x, y in zip(training["x"], training["y"], strict=True)]
    examples = SourceBatches(rows, config.batch_size, seed=0)
    ahead = {
        "examples, a thread": ReadAhead(examples),
        "examples, a worker": ReadAhead(examples, workers=1, depth=8),
    }
    for feed in ahead.values():
        stack.callback(feed.close)
    return {
        "arrays": lambda: (arrays[i] for i in itertools.count()),
        "arrays, prefetched": lambda: prefetch(arrays[i] for i in itertools.count()),
        **{name: lambda feed=feed: (feed[i] for i in itertools.count()) for name, feed in ahead.items()},
    }


def step_seconds(step: Any, state: Any, batches: Iterator[Any], seconds: float) -> tuple[float, Any]:
    """Seconds a step, over steps that last this long together, and the state after them."""
    state, metrics = step(state, next(batches))
    jax.block_until_ready(metrics)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(8):
            state, metrics = step(state, next(batches))
        jax.block_until_ready(metrics)
        steps += 8
    return (time.perf_counter() - start) / steps, state


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="the duration of each measurement (3)")
    args = parser.parse_args()
    config, key, optimizer = Config(), jax.random.key(0), optax.adam(1e-3)
    training = datasets.cifar10(config.data_dir)[0]
    step = make_step(make_loss(config)[1], optimizer, key)
    state = create_state(jnn.init(network_spec(config), key), optimizer)
    still = jax.device_put(Batches(training, config.batch_size, seed=0)[0])
    with contextlib.ExitStack() as stack:
        ways = {"the same batch": lambda: itertools.repeat(still), **feeds(training, config, stack)}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                seconds, state = step_seconds(step, state, way(), args.seconds)
                times[name].append(seconds)
    base = times["the same batch"]
    for name, measured in times.items():
        ratios = sorted(ours / theirs for ours, theirs in zip(measured, base, strict=True))
        print(
            f"{name:20} {min(measured) * 1e3:7.2f} ms a step   {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
