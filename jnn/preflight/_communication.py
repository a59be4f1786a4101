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

from jnn.inspect import Collective, array_types, format_bytes, parse
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
    """A table of what moves, the longest first, then the largest.

    Args:
      rows: of `jnn.inspect.collectives(program, mesh)`.
      mesh, topology: as in `crossing`.
    """
    found: dict[tuple[str, str, str, str], Move] = {}
    for row in rows:
        axes = "?" if row.axes is None else ",".join(row.axes) or "-"
        key = row.kind, axes, " ".join(row.dtypes), str(row.place)
        times = 1 if row.times is None else row.times
        seconds = crossing(row, mesh, topology).seconds if topology.chip.flops else 0.0
        beside = row.asynchronous if row.overlapped is None else row.overlapped  # None: what a host sends by itself
        old = found.get(key, Move(*key, 0, 0, 0, 0.0, 0.0))
        found[key] = dataclasses.replace(
            old,
            count=old.count + times,
            overlapped=old.overlapped + times * beside,
            bytes=old.bytes + times * row.bytes,
            seconds=old.seconds + seconds,
            exposed=old.exposed + seconds * (not beside),
        )
    return sorted((m for m in found.values() if m.count), key=lambda m: (-m.seconds, -m.bytes, m.kind))


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
        times = 1 if row.times is None else row.times
        if row.kind in ALL_TO_ALL and not (row.axes and set(row.axes) <= _MEANT):
            axes = "devices" if row.axes is None else ",".join(row.axes)
            found[f"all-to-all along {axes} at {row.place}"] += times * row.bytes
        operands = [made[name].opcode for name in made[row.name].operands if name in made]
        if row.kind == "all-reduce" and set(operands) == {"dynamic-update-slice"} and row.bytes > SMALL:
            axes = "?" if row.axes is None else ",".join(row.axes)
            what = f"gathers along {axes} that run as all-reduces, twice the bytes (fewer devices would gather: data=2)"
            found[what] += times * row.bytes
        if row.kind == "all-gather":
            for path in {stacks[shape] for _, shape in array_types(made[row.name].type) if shape in stacks}:
                found[f"all layers of {path} gathered at once, at {row.place}"] += times * row.bytes
    return [f"{what}: {format_bytes(size)} on each device" for what, size in found.items() if size > SMALL]


def _stacks(layout: Layout) -> dict[tuple[int, ...], str]:
    """Parameters that are stacks of layers, by their whole shape."""
    params = flatten(layout.spec).items()
    return {
        p.shape: path
        for path, p in params
        if p.axes[:1] == ("layers",) and p.shape[0] > 1 and math.prod(p.shape) > SMALL
    }
