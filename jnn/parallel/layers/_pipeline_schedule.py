"""Whose turn it is in a pipeline, and which rows wait for it where.

    turns = PipelineSchedule(stages, repeats, microbatches, shares)
    turns.at(tick) -> group, repeat, member         what the first stage does in a tick; stage s does it s ticks later
    turns.split(a), turns.join(parts)               (rows, ...) <-> (groups, stages, rows of a micro-batch, ...)
    turns.number(group, member)                     of the micro-batch that stands at parts[group, member]
    turns.offsets(rows)                             of a micro-batch's rows, from its first one among all

Axes: S stages, M micro-batches, D devices that share a stage's rows.

Each of the D devices has a run of rows, and the micro-batches are runs within these: so all rows stay on the devices
that they are on, also where the stages share the batch, as the last of its axes. A group takes one micro-batch from
each stage.

Laws: `join` undoes `split`; every micro-batch has as many rows of each device.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class PipelineSchedule:
    """A circular schedule.

    Attributes:
      stages: how many runs of layers are computed at once.
      repeats: how often a micro-batch goes round all stages.
      microbatches: how many there are; the last group is filled up with copies.
      shares: how many devices share the rows of a stage.

    >>> turns = PipelineSchedule(stages=2, repeats=1, microbatches=4, shares=1)
    >>> turns.ticks, [tuple(map(int, turns.at(t))) for t in range(4)]
    (5, [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)])
    >>> turns.split(jnp.arange(8)).tolist()
    [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    """

    stages: int
    repeats: int
    microbatches: int
    shares: int

    @property
    def groups(self) -> int:
        """How many groups of one micro-batch for each stage."""
        return -(-self.microbatches // self.stages)

    @property
    def ticks(self) -> int:
        """How long all takes."""
        return self.groups * self.repeats * self.stages + self.stages - 1

    @property
    def busy(self) -> int:
        """In how many ticks each stage has a micro-batch, copies not counted."""
        return self.microbatches * self.repeats

    def at(self, t: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Which group, how often it has been round, which of it; before the first and behind the last, real ones."""
        group, repeat, member = t // (self.stages * self.repeats), t // self.stages % self.repeats, t % self.stages
        return jnp.clip(group, 0, self.groups - 1), repeat, member

    def split(self, a: jax.Array) -> jax.Array:
        """(groups, stages, rows of a micro-batch, ...)."""
        shape, missing = a.shape[1:], self.groups * self.stages - self.microbatches
        a = a.reshape(self.shares, self.microbatches, -1, *shape)
        if missing:
            a = jnp.concatenate([a, *[a[:, -1:]] * missing], 1)
        a = a.reshape(self.shares, self.stages, self.groups, -1, *shape)
        return a.transpose(2, 1, 0, 3, *range(4, a.ndim)).reshape(self.groups, self.stages, -1, *shape)

    def join(self, parts: jax.Array) -> jax.Array:
        """(rows, ...)."""
        shape = parts.shape[3:]
        a = parts.reshape(self.groups, self.stages, self.shares, -1, *shape)
        a = a.transpose(2, 1, 0, 3, *range(4, a.ndim)).reshape(self.shares, self.groups * self.stages, -1, *shape)
        return a[:, : self.microbatches].reshape(-1, *shape)

    def number(self, group: Any, member: Any) -> Any:
        """Where a micro-batch stands among the others, on each device."""
        return member * self.groups + group

    def offsets(self, rows: int) -> np.ndarray:
        """(rows of a micro-batch,): how far behind the first of them they are among all rows."""
        return np.arange(rows).reshape(self.shares, self.microbatches, -1)[:, 0].reshape(-1)
