"""One program after another, where devices share the threads of one process.

    serialize_cpu_programs(output, devices) -> output

XLA's CPU devices do. A program that began before another has ended can take the threads that the other's collectives
wait for, and neither ends.
"""

from __future__ import annotations

from typing import TypeVar

import jax

T = TypeVar("T")


def serialize_cpu_programs(output: T, devices: int) -> T:
    """What a program gives; on several CPU devices of one process, when it is there.

    >>> serialize_cpu_programs(jax.numpy.ones(()) + 1, devices=1).item()
    2.0
    """
    together = devices > 1 and jax.local_devices()[0].platform == "cpu"
    return jax.block_until_ready(output) if together else output
