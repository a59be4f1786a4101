"""What the peers' commands share: their options, data that is not there, seconds, and a line of JSON for each seed.

options(__doc__, seeds=5, threads=2) -> parser
parsed(parser) -> options by name       --threads is set, and not among them
with data_needed(): ...                 data that is not there are one line, and the end
clock = Clock(); clock.seconds()
tell(head, found, digits) -> what was printed of found
tell_means(head, runs)
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from jnn.strict_json import dumps


def options(doc: str | None, *, seeds: int, threads: int) -> argparse.ArgumentParser:
    """What reads --seeds, --threads and --data-dir; a command may add its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--data-dir")
    return parser


def add_settings(parser: argparse.ArgumentParser, config: Any, names: Sequence[str]) -> None:
    """Options of these fields of a config, whose values are the defaults."""
    for name in names:
        known = getattr(config, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(known), default=known)


def parsed(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The options by name, but for the threads, which PyTorch has from now on."""
    given = vars(parser.parse_args())
    torch.set_num_threads(given.pop("threads"))
    return given


@contextlib.contextmanager
def data_needed() -> Iterator[None]:
    """Files that are not there end the command, with one line that says which."""
    try:
        yield
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start, self.used = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        """Of the wall, and of the processor."""
        return {"seconds": time.perf_counter() - self.start, "cpu_seconds": time.process_time() - self.used}


def tell(head: Mapping[str, Any], found: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    """Prints a line of JSON, and gives what was found as it was printed."""
    rounded = {name: round(value, digits) for name, value in found.items()}
    print(dumps({**head, **rounded}), flush=True)
    return rounded


def tell_means(head: Mapping[str, Any], runs: Sequence[Mapping[str, float]]) -> None:
    """Prints mean, deviation, least and most over runs, a line of JSON."""
    print(dumps({**head, **{name: spread([run[name] for run in runs]) for name in runs[0]}}), flush=True)


def spread(values: list[float]) -> dict[str, float]:
    """Mean, deviation, least and most."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    numbers = {"mean": statistics.mean(values), "std": deviation, "min": min(values), "max": max(values)}
    return {name: round(number, 5) for name, number in numbers.items()}
