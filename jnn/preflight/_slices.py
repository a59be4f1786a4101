"""Collectives of a program that runs on several slices, which a TPU's compiler takes apart.

    collectives_of(text, mesh, topology) -> [Collective, ...]       with what goes between slices

Within a slice they are collectives whose groups count the devices of one slice. Between slices they are transfers by
the host: a `send` that says in its attributes what is done with what it sends ("megascale").

Law: on one slice these are the rows of `jnn.inspect.collectives`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from jax.sharding import Mesh

from jnn.inspect import (
    Collective,
    Execution,
    Groups,
    array_types,
    axes_of,
    collectives,
    executions,
    parse,
    permuted_axes,
    type_bytes,
)
from jnn.preflight._topology import Topology

_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')


def collectives_of(text: str, mesh: Mesh, topology: Topology) -> list[Collective]:
    """The collectives of a program's text; groups count the devices of the mesh."""
    if topology.slices == 1 or topology.chip.platform != "tpu":
        return collectives(text, mesh)
    members = _members(mesh, topology)
    found = [_within(row, mesh, members) for row in collectives(text)]
    return found + list(_between(text, mesh, members))


def _members(mesh: Mesh, topology: Topology) -> list[list[int]]:
    """The devices of each slice, by their number in the mesh."""
    slices: dict[int, list[int]] = {}
    for i, device in enumerate(mesh.devices.flat):
        slices.setdefault(topology.slice_of(device), []).append(i)
    return list(slices.values())


def _within(row: Collective, mesh: Mesh, members: list[list[int]]) -> Collective:
    """The same groups in every slice."""
    local = row.groups or (tuple(range(len(members[0]))),)
    groups = tuple(tuple(slice_[i] for i in group) for slice_ in members for group in local)
    axes = permuted_axes(groups, mesh) if row.kind == "collective-permute" else axes_of(groups, mesh)
    return dataclasses.replace(row, groups=groups, axes=axes)


def _between(text: str, mesh: Mesh, members: list[list[int]]) -> Iterator[Collective]:
    """Devices that stand at the same place of their slices."""
    groups: Groups = tuple(zip(*members, strict=True))
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
