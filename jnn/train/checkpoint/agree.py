"""The processes of one job come to one mind about whether a checkpoint can be read; with one process it is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from jnn.train.checkpoint.manifest import Damaged
from jnn.train.processes import from_all

T = TypeVar("T")


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
    if not all(from_all(bool(found))):
        raise problem
    return found[0]
