"""Collectives of a program that runs on several slices, which a TPU's compiler takes apart.

    collectives_of_slices(program, mesh, slices) -> [Collective, ...]       with what goes between slices

Within a slice they are collectives whose groups count the devices of one slice. Between slices they are transfers by
the host: a `send` that says in its attributes what is done with what it sends ("megascale").
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from jax.sharding import Mesh

from jnn.inspect._collectives import Collective, axes_of, collectives, permuted_axes
from jnn.inspect._executions import Execution, executions
from jnn.inspect._groups import Groups
from jnn.inspect._hlo import array_types, parse, type_bytes

_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')


def collectives_of_slices(text: str, mesh: Mesh, slices: Sequence[Sequence[int]]) -> list[Collective]:
    """Collectives of a TPU's program on several slices, each the numbers of its devices in the mesh."""
    return [_within(row, mesh, slices) for row in collectives(text)] + list(_between(text, mesh, slices))


def _within(row: Collective, mesh: Mesh, slices: Sequence[Sequence[int]]) -> Collective:
    """The same groups in every slice."""
    local = row.groups or (tuple(range(len(slices[0]))),)
    groups = tuple(tuple(slice_[i] for i in group) for slice_ in slices for group in local)
    axes = permuted_axes(groups, mesh) if row.kind == "collective-permute" else axes_of(groups, mesh)
    return dataclasses.replace(row, groups=groups, axes=axes)


def _between(text: str, mesh: Mesh, slices: Sequence[Sequence[int]]) -> Iterator[Collective]:
    """Devices that stand at the same place of their slices."""
    groups: Groups = tuple(zip(*slices, strict=True))
    for execution in executions(parse(text)):
        found = _TRANSFER.search(execution.instruction.attributes)
        if execution.instruction.opcode == "send" and found:
            yield _transfer(execution, found[1].lower().replace("_", "-"), groups, axes_of(groups, mesh))


def _transfer(execution: Execution, kind: str, groups: Groups, axes: tuple[str, ...] | None) -> Collective:
    sent = execution.instruction
    dtype, _ = array_types(sent.type)[0]
    own = type_bytes(sent.type.partition("}")[0])  # of the first of a tuple: what is sent
    return Collective(
        kind=kind,
        bytes=own * (len(groups[0]) if kind == "all-gather" else 1),
        dtypes=(dtype,),
        times=execution.times,
        groups=groups,
        axes=axes,
        loops=execution.loops,
        asynchronous=True,  # the host sends while the device goes on, until it asks for what was received
        place=sent.place,
        scope=sent.scope,
        name=sent.name,
    )
