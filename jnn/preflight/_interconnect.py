"""How long a collective keeps the wires busy, from where its devices stand in the torus.

    crossing(row, mesh, topology) -> Crossing         seconds within a slice, and between slices

The model is that of "How to Scale Your Model", Austin et al., 2025, "Sharded Matrices and How to Multiply Them": a
collective of n devices moves

| kind                          | bytes into each device                          |
|-------------------------------|-------------------------------------------------|
| all-gather, reduce-scatter    | (n - 1) / n of the whole                        |
| all-reduce                    | twice that                                      |
| all-to-all                    | as many as must cross the middle of the torus   |
| collective-permute            | the whole, over one wire                        |

by all wires that lead along the axes over which its devices are spread: two where an axis is a ring, one where it is a
line (at whose ends the last device has but one), and a share of them where the devices of several groups alternate.
Several slices are a ring over the network, in which each device carries its share.

Laws: a group of one moves nothing; twice the bytes take twice as long. There is no latency in it: it is a bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
from jax.sharding import Mesh

from jnn.inspect import Collective
from jnn.preflight._topology import Topology

ALL_TO_ALL = ("all-to-all", "ragged-all-to-all")


@dataclasses.dataclass(frozen=True)
class Crossing:
    """Seconds that one collective needs, all of its runs."""

    within: float = 0.0
    between: float = 0.0

    @property
    def seconds(self) -> float:
        """The two work at the same time on different parts."""
        return max(self.within, self.between)


@dataclasses.dataclass(frozen=True)
class Interconnect:
    """The wires of one device along one axis of the torus."""

    extent: int  # devices of the group along it
    rate: float  # bytes per second into a device


def crossing(row: Collective, mesh: Mesh, topology: Topology) -> Crossing:
    """What one collective asks of the wires of a topology on which a program's mesh lies."""
    devices = list(mesh.devices.flat)
    group = [devices[i] for i in (row.groups[0] if row.groups else range(len(devices)))]
    slices = [topology.slice_of(device) for device in group]
    here = [device for device, at in zip(group, slices, strict=True) if at == slices[0]]
    total, across = float(row.runs * row.bytes), len(set(slices))
    within = _within(row.kind, total, here, topology) if len(here) > 1 else 0.0
    between = 0.0 if across == 1 else _between(row.kind, total, len(here), across) / (topology.chip.network or 1)
    return Crossing(within, between)


def moved(kind: str, whole: float, devices: int) -> float:
    """Bytes into each device.

    >>> moved("all-gather", 800, 8), moved("all-reduce", 800, 8), moved("all-reduce", 800, 1)
    (700.0, 1400.0, 0.0)
    """
    share = whole * (devices - 1) / devices
    return 2 * share if kind == "all-reduce" else whole if kind == "collective-permute" else share


def _within(kind: str, whole: float, group: Sequence[jax.Device], topology: Topology) -> float:
    chip = topology.chip
    if chip.switch is not None:
        return moved(kind, whole, len(group)) / chip.switch
    wires = _wires(group, topology)
    if not wires:  # the devices of one chip
        return moved(kind, whole, len(group)) / chip.between_cores if chip.between_cores else 0.0
    if kind in ALL_TO_ALL:  # half of each half's bytes cross the middle: n/2 * whole/2 by n/extent times these wires
        return max(w.extent * whole / (4 * w.rate) for w in wires)
    if kind == "collective-permute":
        return whole / (chip.link or 1)
    return moved(kind, whole, len(group)) / sum(w.rate for w in wires)


def _between(kind: str, whole: float, inside: int, slices: int) -> float:
    """Bytes over the network into each device, of which every one carries what is its own."""
    return moved(kind, whole if kind in (*ALL_TO_ALL, "collective-permute") else whole / inside, slices)


def _wires(group: Sequence[jax.Device], topology: Topology) -> list[Interconnect]:
    """Along each axis that a group is spread over."""
    link = topology.chip.link
    if link is None:
        return []
    found = []
    for axis, size in enumerate(topology.shape):
        at = sorted({device.coords[axis] for device in group})
        if len(at) == 1:
            continue
        stride = max(1, -(-(at[-1] - at[0] + 1) // len(at)))  # that of every n-th chip; others use the same wires
        ring = topology.closed(axis) and len(at) * stride >= size
        found.append(Interconnect(len(at), link * (2 if ring else 1) / stride))
    return found
