"""The processes of one job come to one mind about what is on the disk; with one process, these do nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jnn.train.checkpoint.manifest import Damaged

T = TypeVar("T")


def as_first_sees(numbers: Sequence[int]) -> list[int]:
    """The numbers that process 0 was called with."""
    if jax.process_count() == 1:
        return list(numbers)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(numbers))))
    padded = np.resize(np.asarray(numbers, np.int32), size)  # the others may hold more or fewer
    return [int(number) for number in multihost_utils.broadcast_one_to_all(padded)]


def all_or_none(read: Callable[[], T]) -> T:
    """What `read` gives, if it does on every process.

    Raises:
      Damaged: it was damaged here, or on another process.
    """
    found: list[T] = []
    problem = Damaged("another process could not read it")
    try:
        found.append(read())
    except Damaged as damage:
        problem = damage
    if jax.process_count() > 1 and not np.all(multihost_utils.process_allgather(np.bool_(len(found)))):
        found.clear()
    if not found:
        raise problem
    return found[0]
