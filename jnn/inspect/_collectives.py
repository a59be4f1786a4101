"""What a compiled program moves between devices.

    collectives(compiled, mesh) -> [Collective, ...]         of a compiled program, or of its text

Laws: a collective that starts here and is done there is one row; one in a loop counts as often as the loop runs. That
it is asynchronous says what the compiler may do, that it is overlapped what its schedule does: work stands between.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable

import jax
import numpy as np
from jax.sharding import Mesh

from jnn.inspect._executions import Execution, executions
from jnn.inspect._groups import Groups, parse_groups, parse_list
from jnn.inspect._hlo import Instruction, Module, array_types, parse, type_bytes
from jnn.inspect._overlap import KINDS, chain, overlapped
from jnn.inspect._source import Place
from jnn.inspect._table import format_table


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective operation, as one device sees it."""

    kind: str
    bytes: int  # of its result on one device, each time; of its operand, for a reduce-scatter
    dtypes: tuple[str, ...]
    times: int | None  # how often it runs; None: within a loop of unknown length
    groups: Groups  # the devices that take part with each other, by their number in the mesh; () is all
    axes: tuple[str, ...] | None  # of the mesh; None: there is no mesh, or the groups are not along its axes
    loops: tuple[str, ...]  # the while instructions around it, outermost first
    asynchronous: bool  # it starts here and is done elsewhere: other work may go on meanwhile
    place: Place
    scope: str
    name: str
    overlapped: bool | None = None  # in the schedule other work does go on meanwhile; None: no schedule was read

    @property
    def along(self) -> str:
        """Its axes as text; "?" where the groups are not along any, "-" where a device is alone."""
        return "?" if self.axes is None else ",".join(self.axes) or "-"

    @property
    def runs(self) -> int:
        """How often it runs, at least."""
        return 1 if self.times is None else self.times

    @property
    def total(self) -> int | None:
        """Bytes in all of its runs."""
        return None if self.times is None else self.bytes * self.times


def collectives(compiled: jax.stages.Compiled | str, mesh: Mesh | None = None) -> list[Collective]:
    """The collectives of a program, in the order of its text.

    Args:
      compiled: a compiled program, or its text.
      mesh: gives groups of devices the names of its axes. Its devices are those of the program, in its order.

    Returns:
      A row each; `report` makes a table of them.

    >>> collectives(jax.jit(lambda x: 2 * x).lower(1.0).compile())
    []
    """
    module = parse(compiled)
    found: dict[str, list[Execution]] = {}
    for i, execution in enumerate(executions(module)):
        if execution.instruction.opcode.removesuffix("-start") in KINDS:
            found.setdefault(chain(execution.instruction) or str(i), []).append(execution)
    return [_row(module, parts, mesh) for parts in found.values()]


def report(rows: list[Collective]) -> str:
    """A table: one line per kind, axes, dtype and source line, the most bytes first.

    >>> print(report([]))
    kind  axes  dtypes  count  bytes  source
    """
    moved = lambda alike: sum(row.runs * row.bytes for row in alike)
    ordered = sorted(by_line(rows).items(), key=lambda item: (-moved(item[1]), item[0]))
    lines = [[*what, sum(row.runs for row in alike), moved(alike), place] for (*what, place), alike in ordered]
    return format_table(["kind", "axes", "dtypes", "count", "bytes", "source"], lines)


def by_line(rows: Iterable[Collective]) -> dict[tuple[str, str, str, str], list[Collective]]:
    """Collectives of one kind along the same axes, from one line: by kind, axes, dtypes and source line."""
    found: dict[tuple[str, str, str, str], list[Collective]] = {}
    for row in rows:
        found.setdefault((row.kind, row.along, " ".join(row.dtypes), str(row.place)), []).append(row)
    return found


def _row(module: Module, parts: list[Execution], mesh: Mesh | None) -> Collective:
    execution = parts[0]
    instruction = execution.instruction
    kind = instruction.opcode.removesuffix("-start")
    made = module.computations[execution.computation]
    moved = _end(made, instruction).type if instruction.opcode.endswith("-start") else instruction.type
    first, last = _ends(module, parts)
    caller = execution.callers[-1] if execution.callers else None
    if caller is not None and "reduce-scatter" in (dict(caller.called()).get("calls") or ""):
        kind = "reduce-scatter"  # a TPU writes it as a fusion of an all-reduce and a slice
    if instruction.opcode.startswith("reduce-scatter"):
        moved = " ".join(made[name].type for name in instruction.operands)
    groups = parse_groups(_written(instruction))
    pairs = parse_list(instruction.attribute("source_target_pairs"))
    place, scope = instruction.place, instruction.scope
    if caller is not None and not place.frames:
        place, scope = caller.place, caller.scope
    return Collective(
        kind=kind,
        bytes=type_bytes(moved),
        dtypes=tuple(sorted({dtype for dtype, _ in array_types(moved)})),
        times=execution.times,
        groups=pairs or groups,
        axes=None if mesh is None else permuted_axes(pairs, mesh) if pairs else axes_of(groups, mesh),
        loops=execution.loops,
        asynchronous=first.opcode.endswith("-start") or bool(chain(instruction)),
        place=place,
        scope=scope,
        name=instruction.name,
        overlapped=overlapped(module, first, last),
    )


def _ends(module: Module, parts: list[Execution]) -> tuple[Instruction, Instruction]:
    """The instructions of one computation with which a collective starts and is done; the same, where it is at once."""
    marks = [(part.callers or (part.instruction,))[-1] for part in parts]
    start = parts[0].instruction if parts[0].instruction.opcode.endswith("-start") else marks[0]
    made = next(made for made in module.computations.values() if made.get(start.name) is start)
    if start.opcode.endswith("-start"):
        return start, _end(made, start)
    return start, [mark for mark in marks if made.get(mark.name) is mark][-1]


def _end(made: dict[str, Instruction], start: Instruction) -> Instruction:
    """The instruction that is done with what this one starts, past its updates; itself, if that is elsewhere."""
    ends = [i for i in made.values() if i.opcode.endswith(("-done", "-update")) and start.name in i.operands]
    if not ends:
        return start
    return _end(made, ends[0]) if ends[0].opcode.endswith("-update") else ends[0]


def _written(instruction: Instruction) -> str | None:
    """The replica groups as they are written; the order of a mesh's devices stands behind a comma."""
    groups, order = (instruction.attribute(name) for name in ("replica_groups", "device_ids"))
    return f"{groups}, device_ids={order}" if groups and order else groups


def axes_of(groups: Groups, mesh: Mesh) -> tuple[str, ...] | None:
    """Mesh axes along which these groups lie; None where there are none such.

    >>> axes_of(((0,),), jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)))
    ()
    """
    names = [name for name in mesh.axis_names if mesh.shape[name] > 1]
    ids = np.arange(mesh.size).reshape(mesh.devices.shape)
    wanted = {frozenset(group) for group in groups} or {frozenset(range(mesh.size))}
    for count in range(len(names) + 1):
        for axes in itertools.combinations(names, count):
            moved = [mesh.axis_names.index(name) for name in axes]
            kept = [axis for axis in range(ids.ndim) if axis not in moved]
            rows = ids.transpose([*kept, *moved]).reshape(-1, math.prod(mesh.shape[name] for name in axes))
            if {frozenset(map(int, row)) for row in rows} == wanted:
                return axes
    return None


def permuted_axes(pairs: Groups, mesh: Mesh) -> tuple[str, ...]:
    """Mesh axes along which a permutation's pairs of devices differ."""
    shape = mesh.devices.shape
    differ = [np.array(np.unravel_index(a, shape)) != np.array(np.unravel_index(b, shape)) for a, b in pairs]
    return tuple(name for name, moved in zip(mesh.axis_names, np.any(differ, axis=0), strict=True) if moved)
