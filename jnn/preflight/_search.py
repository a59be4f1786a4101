"""Which layout, what to remember and how many micro-batches: all are tried that might do, and ranked.

    search(job, "v5e:16x16", losses=..., compiles=8) -> Search

1. Candidates: every product of mesh shapes, losses (a policy of rematerialization each) and micro-batches.
2. Arithmetic drops what cannot be: a batch or a parameter that does not divide, a state that does not fit by itself.
3. The rest is compiled, what talks least first, as many as `compiles` says: the others are named. What was compiled
   changes the order: see `Queue`. Where the policy that remembers least does not fit, no other is compiled.
4. Those that fit are ranked by the time of their roofline.

Laws: every candidate is in the ranking or among the dropped, with its reason. That nothing fits is said only where
every candidate was decided.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jnn.inspect import format_table
from jnn.parallel import layout
from jnn.parallel import mesh as make_mesh
from jnn.preflight._budget import Budget
from jnn.preflight._candidates import Candidate, Queue, candidates
from jnn.preflight._chips import GIB
from jnn.preflight._compile import Job, TrainingJob, prepare
from jnn.preflight._preflight import preflight
from jnn.preflight._report import Report
from jnn.preflight._topology import Topology, topology
from jnn.strict_json import dumps, loads
from jnn.train import LossFn

Log = Callable[[str], None]
_UNTRIED = "not compiled: "  # how the reason of a candidate begins for which no compile was left


@dataclasses.dataclass(frozen=True)
class Search:
    """Search results: the reports of those that fit, the fastest first, and why others were dropped."""

    ranked: tuple[tuple[Candidate, Report], ...]
    dropped: tuple[tuple[Candidate, str], ...]

    @property
    def untried(self) -> int:
        """How many candidates might fit, but were not compiled."""
        return sum(why.startswith(_UNTRIED) for _, why in self.dropped)

    @property
    def left(self) -> str:
        """The same, in words."""
        return f"{self.untried} candidate{' was' if self.untried == 1 else 's were'} not compiled"

    @property
    def nothing(self) -> str:
        """What is known where nothing is ranked."""
        return f"nothing that was compiled fits; {self.left}" if self.untried else "nothing fits"

    def over(self, budget: Budget) -> list[str]:
        """One sentence, where no layout is within the budget."""
        if not self.ranked:
            return [self.nothing]
        if not all(report.over(budget) for _, report in self.ranked):
            return []
        left = f"that was compiled is within the budget; {self.left}" if self.untried else "is within the budget"
        return [f"no layout {left}"]

    def json(self) -> str:
        """All of it."""
        ranked = [dataclasses.asdict(c) | {"report": loads(report.json())} for c, report in self.ranked]
        dropped = [dataclasses.asdict(c) | {"why": why} for c, why in self.dropped]
        return dumps({"ranked": ranked, "dropped": dropped, "untried": self.untried}, indent=1)

    def __str__(self) -> str:
        header = ["mesh", "remembers", "micro-batches", "GiB", "ms", "bound by", "MFU", "wrong"]
        rows = [_row(candidate, report) for candidate, report in self.ranked]
        reasons = [[candidate.mesh, candidate.policy, candidate.microbatches, why] for candidate, why in self.dropped]
        parts = [format_table(header, rows) if rows else f"{self.nothing[:1].upper()}{self.nothing[1:]}."]
        if reasons:
            parts.append(format_table(["dropped", "remembers", "micro-batches", "why"], reasons))
        return "\n\n".join(parts)


def search(
    job: TrainingJob,
    machine: str | Topology,
    *,
    axes: Sequence[str] = ("data", "fsdp", "tensor"),
    losses: Mapping[str, LossFn] | None = None,
    microbatches: Sequence[int] = (1,),
    compiles: int = 8,
    log: Log = lambda line: None,
    **options: Any,
) -> Search:
    """Layout search: tries the layouts of a job on a machine.

    Args:
      job: what is trained; its own loss is used where no losses are given.
      machine: its name, as `topology` takes it.
      axes: of the meshes: every way to share the devices among them.
      losses: by the name of what they remember, that which computes least again first, and that which remembers least
        last: `{"dots": ..., "full": ...}`.
      microbatches: how many to try.
      compiles: at most so many are compiled; a minute each, for a large model.
      log: is given a line whenever something was compiled.
      options: of `preflight`, such as rules.

    Raises:
      ValueError: nothing to try, or what `preflight` refuses of all candidates.

    >>> import jax, jax.numpy as jnp, jnn, optax
    >>> def loss(params, batch, ctx):
    ...     return jnn.train.LossOutput(jnn.losses.squared_error(jnn.layers.linear(params, batch["x"]), batch["y"]))
    >>> batch = {name: jax.ShapeDtypeStruct((3, 4), jnp.float32) for name in "xy"}
    >>> found = search(TrainingJob(jnn.layers.linear_spec(4, 4), loss, optax.sgd(0.1), batch), "cpu:2", axes=("data",))
    >>> len(found.ranked), str(found.dropped[0][0])
    (0, 'data=2, as it is, 1 micro-batch')
    """
    if not axes or not microbatches or min(microbatches) < 1 or compiles < 1:
        raise ValueError("search: expected at least one axis, positive micro-batches, and compiles of 1 or more.")
    where = topology(machine) if isinstance(machine, str) else machine
    by_policy = losses or {"as it is": job.loss}
    queue = Queue(candidates(len(where.devices), axes, list(by_policy), microbatches), list(by_policy))
    ranked: list[tuple[Candidate, Report]] = []
    dropped: list[tuple[Candidate, str]] = []
    for candidate in queue:
        changed = dataclasses.replace(
            job, loss=by_policy[candidate.policy], options=job.options | {"microbatches": candidate.microbatches}
        )
        if why := queue.hopeless(candidate) or _impossible(changed, candidate.mesh, where, options):
            dropped.append((candidate, why))
        elif queue.compiled == compiles:
            dropped.append((candidate, f"{_UNTRIED}{compiles} were"))
        else:
            report = preflight(changed, where, candidate.mesh, explain=False, **options)
            log(f"{candidate}: {_needs(report)}" + ("" if report.fit.fits else ", does not fit"))
            queue.tried(candidate, fits=report.fit.fits)
            if report.fit.fits:
                ranked.append((candidate, report))
            else:
                dropped.append((candidate, report.fit.note or _needs(report)))
    return Search(tuple(sorted(ranked, key=lambda pair: _time(pair[1]))), tuple(dropped))


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
    capacity = where.chip.capacity
    if capacity is not None and prepared.device_bytes > capacity:
        return f"the state alone takes {prepared.device_bytes / GIB:.3g} GiB of {capacity / GIB:.3g}"
    return ""


def _needs(report: Report) -> str:
    return f"needs {(report.fit.needed or 0) / GIB:.3g} GiB"


def _time(report: Report) -> float:
    """By which candidates are ranked; without a published peak, the bytes that move."""
    return report.roofline.seconds if report.roofline else float(sum(move.bytes for move in report.communication))


def _row(candidate: Candidate, report: Report) -> list[object]:
    line = report.roofline
    times = (
        ["-", "-", "-"] if line is None else [f"{1000 * line.seconds:.4g}", line.bound, f"{line.mfu(line.seconds):.1%}"]
    )
    used = f"{(report.fit.needed or 0) / GIB:.3g}"
    return [candidate.mesh, candidate.policy, candidate.microbatches, used, *times, len(report.faults)]
