"""What a step moves between devices, and what of that nobody asked for.

    communication(rows, mesh, topology) -> [Move, ...]      one row per kind, mesh axes, dtypes and source line
    unexpected_communication(rows, program, layout) -> [sentence, ...]
                                                            all-to-alls, and gathers of every layer at once

Laws: bytes are those of each device; a collective in a loop counts as often as the loop runs; overlapped are those
between whose start and end the schedule has work that is none of theirs. That is yes or no, not how much of it.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable

import jax
from jax.sharding import Mesh

from jnn.inspect import Collective, array_types, by_line, format_bytes, parse
from jnn.parallel import Layout
from jnn.param import flatten
from jnn.preflight._interconnect import ALL_TO_ALL, crossing
from jnn.preflight._topology import Topology

SMALL = 2**16  # numbers of a parameter, or bytes on the wires, that nobody would notice
_MEANT = {"expert", "context"}  # the axes along which a model's own layers exchange by all-to-all


@dataclasses.dataclass(frozen=True)
class Move:
    """Collectives of one kind along the same axes, from one line."""

    kind: str
    axes: str  # of the mesh; "?" where the groups do not lie along its axes
    dtypes: str
    source: str
    count: int
    overlapped: int  # of them: those that other work goes on beside
    bytes: int  # of all
    seconds: float  # that they keep the wires busy at the published rate; 0 where none is published
    exposed: float  # of these: those of the collectives that nothing goes on beside


def communication(rows: Iterable[Collective], mesh: Mesh, topology: Topology) -> list[Move]:
    """A table of what moves, of `jnn.inspect.collectives(program, mesh)`: the longest first, then the largest."""
    found = [_move(key, alike, mesh, topology) for key, alike in by_line(rows).items()]
    return sorted((m for m in found if m.count), key=lambda m: (-m.seconds, -m.bytes, m.kind))


def _move(key: tuple[str, str, str, str], rows: list[Collective], mesh: Mesh, topology: Topology) -> Move:
    seconds = [crossing(row, mesh, topology).seconds if topology.chip.flops else 0.0 for row in rows]
    # None: what a host sends by itself
    beside = [row.asynchronous if row.overlapped is None else row.overlapped for row in rows]
    return Move(
        *key,
        count=sum(row.runs for row in rows),
        overlapped=sum(row.runs for row, hidden in zip(rows, beside, strict=True) if hidden),
        bytes=sum(row.runs * row.bytes for row in rows),
        seconds=sum(seconds),
        exposed=sum(time for time, hidden in zip(seconds, beside, strict=True) if not hidden),
    )


def unexpected_communication(
    rows: Iterable[Collective], program: jax.stages.Compiled | str, layout: Layout
) -> list[str]:
    """One sentence for each source line, or axis, that moves what it need not.

    - An all-to-all along an axis that has no layer of its own for it: an activation lies otherwise than its next use
      wants it. Name its axes by `jnn.axes.constrain`.
    - A gather that the compiler writes as an all-reduce of pieces among zeros, of twice the bytes. XLA:TPU does so
      along an axis that is all of a slice: always where the torus has three axes, of small pieces where it has two.
      Share the parameters among fewer devices.
    - An all-gather of a stack of layers: all of them are whole at once. Call `jnn.axes.gather` inside of the scan.
    """
    module = parse(program)
    made = {name: i for computation in module.computations.values() for name, i in computation.items()}
    stacks = _stacks(layout)
    found: collections.Counter[str] = collections.Counter()
    for row in rows:
        moved = row.runs * row.bytes
        if row.kind in ALL_TO_ALL and not (row.axes and set(row.axes) <= _MEANT):
            axes = "devices" if row.axes is None else row.along
            found[f"all-to-all along {axes} at {row.place}"] += moved
        operands = [made[name].opcode for name in made[row.name].operands if name in made]
        if row.kind == "all-reduce" and set(operands) == {"dynamic-update-slice"} and row.bytes > SMALL:
            what = "that run as all-reduces, twice the bytes (fewer devices would gather: data=2)"
            found[f"gathers along {row.along} {what}"] += moved
        if row.kind == "all-gather":
            for path in {stacks[shape] for _, shape in array_types(made[row.name].type) if shape in stacks}:
                found[f"all layers of {path} gathered at once, at {row.place}"] += moved
    return [f"{what}: {format_bytes(size)} on each device" for what, size in found.items() if size > SMALL]


def _stacks(layout: Layout) -> dict[tuple[int, ...], str]:
    """Parameters that are stacks of layers, by their whole shape."""
    return {
        p.shape: path
        for path, p in flatten(layout.spec).items()
        if p.axes[:1] == ("layers",) and p.shape[0] > 1 and math.prod(p.shape) > SMALL
    }
