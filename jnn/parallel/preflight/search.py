"""Which layout, what to remember and how many micro-batches: all are tried that might do, and ranked.

    search(job, "v5e:16x16", losses=..., compiles=8) -> Search

1. Candidates: every product of mesh shapes, losses (a policy of rematerialization each) and micro-batches.
2. Arithmetic drops what cannot be: a batch or a parameter that does not divide, a state that does not fit by itself.
3. The rest is compiled, what talks least first (few devices along `tensor`, then few micro-batches, then the policies
   in their order), as many as `compiles` says: the others are named. Where a policy fits a mesh and micro-batches,
   those behind it, which compute more again, come after everything else.
4. Those that fit are ranked by the time of their roofline.

Law: every candidate is in the ranking or among the dropped, with its reason.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jnn.inspect.table import table
from jnn.parallel.layout import layout
from jnn.parallel.mesh import mesh as make_mesh
from jnn.parallel.preflight.chips import GIB
from jnn.parallel.preflight.compiled import Job, prepare
from jnn.parallel.preflight.flight import preflight
from jnn.parallel.preflight.report import Report
from jnn.parallel.preflight.topology import Topology, topology
from jnn.train.objective import LossFn

Log = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One thing to try."""

    mesh: str
    policy: str  # the name of its loss
    microbatches: int

    def __str__(self) -> str:
        return f"{self.mesh}, {self.policy}, {self.microbatches} micro-batch{'es' * (self.microbatches > 1)}"


@dataclasses.dataclass(frozen=True)
class Search:
    """What was tried: the reports of those that fit, the fastest first, and why others were dropped."""

    ranked: tuple[tuple[Candidate, Report], ...]
    dropped: tuple[tuple[Candidate, str], ...]

    def json(self) -> str:
        """All of it."""
        ranked = [dataclasses.asdict(c) | {"report": json.loads(report.json())} for c, report in self.ranked]
        dropped = [dataclasses.asdict(c) | {"why": why} for c, why in self.dropped]
        return json.dumps({"ranked": ranked, "dropped": dropped}, indent=1)

    def __str__(self) -> str:
        header = ["mesh", "remembers", "micro-batches", "GiB", "ms", "bound by", "MFU", "wrong"]
        rows = [_row(candidate, report) for candidate, report in self.ranked]
        reasons = [[candidate.mesh, candidate.policy, candidate.microbatches, why] for candidate, why in self.dropped]
        parts = [table(header, rows) if rows else "Nothing fits."]
        if reasons:
            parts.append(table(["dropped", "remembers", "micro-batches", "why"], reasons))
        return "\n\n".join(parts)


def search(
    job: Job,
    machine: str | Topology,
    *,
    axes: Sequence[str] = ("data", "fsdp", "tensor"),
    losses: Mapping[str, LossFn] | None = None,
    microbatches: Sequence[int] = (1,),
    compiles: int = 8,
    log: Log = lambda line: None,
    **options: Any,
) -> Search:
    """Tries the layouts of a job on a machine.

    Args:
      job: what is trained; its own loss is used where no losses are given.
      machine: its name, as `topology` takes it.
      axes: of the meshes: every way to share the devices among them.
      losses: by the name of what they remember, the least talkative first: `{"dots": ..., "full": ...}`.
      microbatches: how many to try.
      compiles: at most so many are compiled; a minute each, for a large model.
      log: is given a line whenever something was compiled.
      options: of `preflight`, such as rules.

    Raises:
      ValueError: nothing to try, or what `preflight` refuses of all candidates.

    >>> import jax, jax.numpy as jnp, jnn, optax
    >>> def loss(params, batch, stats, key):
    ...     return jnn.train.LossOutput(jnn.losses.squared_error(jnn.layers.linear(params, batch["x"]), batch["y"]))
    >>> batch = {name: jax.ShapeDtypeStruct((3, 4), jnp.float32) for name in "xy"}
    >>> found = search(Job(jnn.layers.linear_spec(4, 4), loss, optax.sgd(0.1), batch), "cpu:2", axes=("data",))
    >>> len(found.ranked), str(found.dropped[0][0])
    (0, 'data=2, as it is, 1 micro-batch')
    """
    if not axes or not microbatches or min(microbatches) < 1 or compiles < 1:
        raise ValueError("search: expected at least one axis, positive micro-batches, and compiles of 1 or more.")
    where = topology(machine) if isinstance(machine, str) else machine
    by_policy = losses or {"as it is": job.loss}
    ranked: list[tuple[Candidate, Report]] = []
    dropped: list[tuple[Candidate, str]] = []
    left, fitting = compiles, set()  # meshes and micro-batches for which a policy fits
    waiting = deque((c, True) for c in _candidates(len(where.devices), axes, list(by_policy), microbatches))
    while waiting:
        candidate, may_wait = waiting.popleft()
        pair = candidate.mesh, candidate.microbatches
        if may_wait and pair in fitting:
            waiting.append((candidate, False))
            continue
        changed = dataclasses.replace(
            job, loss=by_policy[candidate.policy], options=job.options | {"microbatches": candidate.microbatches}
        )
        if why := _impossible(changed, candidate.mesh, where, options):
            dropped.append((candidate, why))
        elif not left:
            dropped.append((candidate, f"not compiled: {compiles} were"))
        else:
            left -= 1
            report = preflight(changed, where, candidate.mesh, explain=False, **options)
            log(f"{candidate}: {_needs(report)}" + ("" if report.fit.fits else ", does not fit"))
            if report.fit.fits:
                ranked.append((candidate, report))
                fitting.add(pair)
            else:
                dropped.append((candidate, report.fit.note or _needs(report)))
    return Search(tuple(sorted(ranked, key=lambda pair: _time(pair[1]))), tuple(dropped))


def meshes(devices: int, axes: Sequence[str]) -> Iterator[str]:
    """Every way to share devices among axes, of sizes above 1.

    >>> list(meshes(4, ["data", "tensor"]))
    ['data=4', 'data=2,tensor=2', 'tensor=4']
    """
    sizes = [size for size in range(devices, 0, -1) if devices % size == 0]
    for shape in itertools.product(sizes, repeat=len(axes)):
        if math.prod(shape) == devices:
            named = [f"{axis}={size}" for axis, size in zip(axes, shape, strict=True) if size > 1]
            yield ",".join(named or [f"{axes[0]}=1"])


def _candidates(
    devices: int, axes: Sequence[str], policies: Sequence[str], microbatches: Sequence[int]
) -> list[Candidate]:
    """What talks least first."""

    def talk(candidate: Candidate) -> tuple[int, int, int, int]:
        sizes = dict(part.split("=") for part in candidate.mesh.split(","))
        tensor, fsdp = int(sizes.get("tensor", 1)), int(sizes.get("fsdp", 1))
        return tensor, candidate.microbatches, policies.index(candidate.policy), fsdp

    every = itertools.product(meshes(devices, axes), policies, microbatches)
    return sorted((Candidate(*each) for each in every), key=talk)


def _impossible(job: Job, mesh: str, where: Topology, options: Mapping[str, Any]) -> str:
    """Why a candidate cannot be, by arithmetic alone; "" where it may."""
    rules = {name: options[name] for name in ("parameters", "activations", "uneven") if name in options}
    try:
        prepared = prepare(job, layout(job.spec, make_mesh(mesh, where.devices), **rules))
    except ValueError as error:  # a batch or a parameter that does not divide: the first of them
        lines = str(error).splitlines()
        return lines[0] if len(lines) == 1 else f"does not divide: {lines[1].partition(':')[0].strip()}"
    shared = math.prod(prepared.layout.mesh.shape[axis] for axis in prepared.layout.named["batch"])
    if job.rows % (shared * job.microbatches):
        return f"{shared} devices and {job.microbatches} micro-batches do not divide {job.rows} rows"
    capacity = where.chip.memory
    if capacity is not None and prepared.device_bytes > capacity:
        return f"the state alone takes {prepared.device_bytes / GIB:.3g} GiB of {capacity / GIB:.3g}"
    return ""


def _needs(report: Report) -> str:
    return f"needs {(report.fit.needed or 0) / GIB:.3g} GiB"


def _time(report: Report) -> float:
    """By which candidates are ranked; without a published peak, the bytes that move."""
    return report.roofline.seconds if report.roofline else float(sum(move.bytes for move in report.moves))


def _row(candidate: Candidate, report: Report) -> list[object]:
    line = report.roofline
    times = (
        ["-", "-", "-"] if line is None else [f"{1000 * line.seconds:.4g}", line.bound, f"{line.mfu(line.seconds):.1%}"]
    )
    used = f"{(report.fit.needed or 0) / GIB:.3g}"
    return [candidate.mesh, candidate.policy, candidate.microbatches, used, *times, len(report.faults)]
