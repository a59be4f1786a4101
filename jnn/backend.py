"""Which formulation runs on which backend: the one table, with the measured reason for each row.

The formulations of a row are the same function of the same arguments; only their speed differs.
The choice is made while tracing, from `jax.default_backend()`, or from `target("tpu")` where a
program is lowered here for somewhere else.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator

import jax


@dataclasses.dataclass(frozen=True)
class Row:
    """The formulation on CPU, the one elsewhere, and why they differ."""

    cpu: str
    other: str
    why: str


TABLE = {
    "dense": Row(
        cpu="flat",
        other="batched",
        why="XLA:CPU runs (B, T, d) @ w 2.7 times slower than the same product with B and T merged; "
        "elsewhere merging could force a sharded time axis to be gathered",
    ),
}

_target: contextvars.ContextVar[str | None] = contextvars.ContextVar("jnn_backend_target", default=None)


def choose(name: str) -> str:
    """The formulation of `TABLE[name]` for the backend that this trace is for."""
    row = TABLE[name]
    return row.cpu if (_target.get() or jax.default_backend()) == "cpu" else row.other


@contextlib.contextmanager
def target(platform: str) -> Iterator[None]:
    """Traces for another backend than the default one.

    >>> with target("tpu"):
    ...     choose("dense")
    'batched'
    """
    token = _target.set(platform)
    try:
        yield
    finally:
        _target.reset(token)
