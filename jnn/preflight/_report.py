"""The report of a pre-flight: plain data, as text, as JSON.

    str(report), report.json()
    Report.over(Budget(...)) -> [sentence, ...]         what is over budget, or does not fit; nothing is good

Laws: every number is of one step; bytes are those of each device, FLOPs those of all together. Whatever the text says
is in the JSON, under the name of its field.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jnn.inspect import format_bytes, format_table
from jnn.preflight._budget import Budget
from jnn.preflight._chips import GIB
from jnn.preflight._communication import Move
from jnn.preflight._roofline import Roofline
from jnn.strict_json import dumps

CONVENTION = "a multiply-add is two; causal attention by the pairs that its mask leaves; recomputation not counted"


@dataclasses.dataclass(frozen=True)
class Machine:
    """What it was compiled for."""

    topology: str
    chips: int
    devices: int
    hosts: int
    mesh: dict[str, int]


@dataclasses.dataclass(frozen=True)
class MemoryFit:
    """Bytes on each device."""

    capacity: int | None  # that a program may have; None where it is not published
    needed: int | None  # the peak; None where the compiler gave up without a number
    state: int  # of the state and the batch: no program needs less
    parts: dict[str, int]  # of the peak; empty where the compiler found no room
    largest: tuple[tuple[int, str], ...]  # bytes, and where they are made
    note: str = ""

    @property
    def fits(self) -> bool:
        """Whether there is room."""
        return bool(self.parts) and (self.capacity is None or (self.needed or 0) <= self.capacity)


@dataclasses.dataclass(frozen=True)
class Work:
    """What all devices together compute in one step."""

    parameters: int
    state_bytes: int  # parameters, optimizer state and what else is kept, once
    rows: int
    tokens: int | None
    model: int
    hardware: int
    notes: tuple[str, ...]

    @property
    def per_token(self) -> float | None:
        """Model FLOPs of a token; None where there are none."""
        return None if self.tokens is None else self.model / self.tokens


@dataclasses.dataclass(frozen=True)
class Cost:
    """What so many steps take, each as long as the roofline says, at least."""

    steps: float
    hours: float
    chip_hours: float
    cost: float | None  # where a price was given


@dataclasses.dataclass(frozen=True)
class Report:
    """Report of a pre-flight: what a step takes, as text by `str`, as data by `json`.

    Every number is of one step; bytes are those of each device, FLOPs those of all together.
    """

    machine: Machine
    fit: MemoryFit
    work: Work
    communication: tuple[Move, ...]
    faults: tuple[str, ...]
    roofline: Roofline | None
    bill: Cost | None

    def over(self, budget: Budget) -> list[str]:
        """What is over the budget, or does not fit: one sentence each."""
        limit = self.fit.capacity if budget.memory is None else budget.memory
        problems = []
        if not self.fit.fits or (limit is not None and self.fit.needed is not None and self.fit.needed > limit):
            problems.append(f"memory: {_size(self.fit.needed)} on each device, {_size(limit)} allowed")
        seconds = None if self.roofline is None else self.roofline.seconds
        moved = sum(move.bytes for move in self.communication)
        if budget.seconds is not None and (seconds is None or seconds > budget.seconds):
            found = "unknown, for there is no roofline" if seconds is None else f"{seconds:.3g} s a step at least"
            problems.append(f"time: {found}, {budget.seconds:.3g} s allowed")
        if budget.bytes is not None and moved > budget.bytes:
            problems.append(f"collectives: {format_bytes(moved)} on each device, {format_bytes(budget.bytes)} allowed")
        return problems

    def json(self) -> str:
        """All of it, with what follows from it."""
        data: dict[str, Any] = dataclasses.asdict(self)
        data["fit"]["fits"] = self.fit.fits
        data["work"] |= {"per_token": self.work.per_token, "convention": CONVENTION}
        if (line := self.roofline) is not None:
            data["roofline"] |= {
                "bound": line.bound,
                "floor": line.floor,
                "seconds": line.seconds,
                "mfu_floor": line.mfu(line.floor),
                "mfu": line.mfu(line.seconds),
                "mfu_expected": None if line.expected is None else line.mfu(line.expected.seconds),
            }
        return dumps(data, indent=1)

    def __str__(self) -> str:
        sections = [
            self._machine(), self._fit(), self._work(), self._moves(), self._faults(), self._roofline(), self._bill()
        ]  # fmt: skip
        return "\n\n".join(filter(None, sections))

    def _machine(self) -> str:
        m = self.machine
        mesh = ",".join(f"{name}={size}" for name, size in m.mesh.items())
        return f"{m.topology}: {_many(m.chips, 'chip')}, {_many(m.devices, 'device')}, {_many(m.hosts, 'host')}; {mesh}"

    def _fit(self) -> str:
        fit = self.fit
        room = "whose memory is not published" if fit.capacity is None else f"of {_size(fit.capacity)}"
        head = f"{'Fits' if fit.fits else 'DOES NOT FIT'}: {_size(fit.needed)} on each device, {room}"
        rows = [[name, value] for name, value in {"state and batch": fit.state, **fit.parts}.items()]
        values = [[size, where] for size, where in fit.largest]
        lines = [head, fit.note, format_table(["what", "bytes"], rows)]
        return "\n".join(filter(None, [*lines, format_table(["bytes", "largest values"], values) if values else ""]))

    def _work(self) -> str:
        work = self.work
        unit = _many(work.rows, "row") if work.tokens is None else _many(work.tokens, "token")
        each = f", {work.per_token:,.0f} a token" if work.per_token is not None else ""
        return "\n".join(
            [
                f"Computes {format_bytes(work.model, 'FLOP')} a step for {unit}{each}; "
                f"{format_bytes(work.hardware, 'FLOP')} with what is computed twice",
                f"  ({CONVENTION})",
                f"  {_many(work.parameters, 'parameter')}, a state of {format_bytes(work.state_bytes)}",
                *work.notes,
            ]
        )

    def _moves(self) -> str:
        if not self.fit.parts:
            return ""
        header = ["kind", "axes", "dtypes", "count", "overlapped", "bytes", "ms", "source"]
        rows = [
            [m.kind, m.axes, m.dtypes, m.count, m.overlapped, m.bytes, f"{1000 * m.seconds:.3g}", m.source]
            for m in self.communication
        ]
        total = format_bytes(sum(move.bytes for move in self.communication))
        return f"Moves {total} on each device" + ("\n" + format_table(header, rows) if rows else "")

    def _faults(self) -> str:
        return "\n".join(["What is wrong:", *(f"- {fault}" for fault in self.faults)]) if self.faults else ""

    def _roofline(self) -> str:
        line = self.roofline
        if line is None:
            return ""
        rows = [[name, f"{1000 * value:.4g}"] for name, value in line.parts.items()]
        rows += [[f"  {axes}", f"{1000 * value:.4g}"] for axes, value in line.wires.items()]
        return "\n".join(
            [
                f"Bound by {line.bound}: {1000 * line.floor:.4g} ms a step at best, MFU {line.mfu(line.floor):.1%}; "
                f"{1000 * line.seconds:.4g} ms with the collectives that nothing overlaps, MFU "
                f"{line.mfu(line.seconds):.1%}",
                self._expected(line),
                format_table(["ms of a step", "at the published best"], rows),
            ]
        )

    def _expected(self, line: Roofline) -> str:
        if (found := line.expected) is None:
            return f"Nothing was measured on {self.machine.topology.partition(':')[0]} that would say what to expect"
        by = found.by
        return (
            f"Expected: {1000 * found.seconds:.4g} ms a step, MFU {line.mfu(found.seconds):.1%}, as measured on one "
            f"{by.card} on {by.date}: products at {by.products:.0%} of the peak, what other kernels move at "
            f"{by.traffic:.0%} of the bandwidth, {1e6 * by.start:.2g} us to begin each"
        )

    def _bill(self) -> str:
        if (bill := self.bill) is None:
            return ""
        cost = "" if bill.cost is None else f", {bill.cost:,.2f} at the price given"
        return f"At least {bill.hours:.4g} hours for {bill.steps:,.0f} steps: {bill.chip_hours:,.4g} chip-hours{cost}"


def _size(value: float | None) -> str:
    return "an unknown number of bytes" if value is None else f"{value / GIB:.3g} GiB"


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
