"""The least time that a step can take, and what it is that takes it.

    roofline(flops, traffic, moves, topology) -> Roofline       with the time that is expected, where that is known

See "Roofline: An Insightful Visual Performance Model for Multicore Architectures", Williams et al., 2009.

Laws: no step takes less than its arithmetic at the published peak, its memory traffic at the published bandwidth, or
its collectives, one after another, on the published wires. Where the three overlap perfectly the longest is the time;
collectives that the schedule overlaps with nothing are added to the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jnn.inspect import Flops
from jnn.preflight._communication import Move
from jnn.preflight._expected import Expected, expected
from jnn.preflight._hbm_traffic import Traffic
from jnn.preflight._topology import Topology


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of one step, each at the published best."""

    compute: float  # of arithmetic
    memory: float  # of memory traffic
    wires: dict[str, float]  # of the collectives, by the mesh axes along which they go
    exposed: float  # that part of `wires` which no other work overlaps
    peak: float  # FLOP/s of all devices together
    model: int  # FLOPs of the model in one step
    expected: Expected | None = None  # None where nothing was measured of the chip

    @property
    def parts(self) -> dict[str, float]:
        """What the step is bound by, whichever is the longest."""
        return {"compute": self.compute, "memory": self.memory, "interconnect": sum(self.wires.values())}

    @property
    def bound(self) -> str:
        """The longest of `parts`."""
        return max(self.parts, key=lambda name: self.parts[name])

    @property
    def floor(self) -> float:
        """The time of a step whose parts overlap perfectly."""
        return max(self.parts.values())

    @property
    def seconds(self) -> float:
        """The time of a step as it is scheduled: what overlaps with nothing comes on top."""
        hidden = sum(self.wires.values()) - self.exposed
        return max(self.compute, self.memory, hidden) + self.exposed

    def mfu(self, seconds: float) -> float:
        """Model FLOPs utilization of a step that takes so long.

        >>> Roofline(1.0, 0.5, {"fsdp": 2.0}, 0.0, peak=100.0, model=50).mfu(2.0)
        0.25
        """
        return self.model / (self.peak * seconds)


def roofline(counted: Flops, traffic: Traffic, moves: Sequence[Move], topology: Topology) -> Roofline | None:
    """The roofline of a step; None where nothing is published of the devices, as of a CPU."""
    chip = topology.chip
    if chip.flops is None or chip.bandwidth is None:
        return None
    peak = chip.flops * len(topology.devices)
    wires: dict[str, float] = {}
    for move in moves:
        wires[move.axes] = wires.get(move.axes, 0.0) + move.seconds
    exposed = sum(move.exposed for move in moves)
    compute, memory = counted.hardware / peak, traffic.bytes / chip.bandwidth
    forecast = expected(counted.hardware / len(topology.devices), traffic, exposed, chip)
    return Roofline(compute, memory, wires, exposed, peak, counted.model, forecast)
