"""The pre-flight itself: a job, a machine, a report.

preflight(job, "v5p:8x8x8", "fsdp=64,tensor=8") -> Report
steps_of(job, 1e12) -> steps                       of a run over so many tokens
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
from jax.sharding import Mesh

from jnn.inspect import Collective, array_types, collectives, collectives_of_slices, largest, memory
from jnn.parallel import devices_along, layout
from jnn.parallel import mesh as make_mesh
from jnn.param import count_params as count_parameters
from jnn.preflight import _lint as faults
from jnn.preflight._chips import Chip
from jnn.preflight._communication import communication, unexpected_communication
from jnn.preflight._compile import Compiled, Job, Prepared, compile_for, prepare
from jnn.preflight._hbm_traffic import Traffic, hbm_traffic
from jnn.preflight._report import Cost, Machine, MemoryFit, Report, Work
from jnn.preflight._roofline import Roofline, roofline
from jnn.preflight._topology import Topology, topology


def preflight(
    job: Job,
    machine: str | Topology,
    mesh: str,
    *,
    steps: float | None = None,
    tokens: float | None = None,
    price: float | None = None,
    explain: bool = True,
    **rules: Any,
) -> Report:
    """Pre-flight: compiles a job's step for a machine that need not be there, and reports what it takes.

    Args:
      job: what is trained, and by what step.
      machine: its name, as `topology` takes it.
      mesh: as `jnn.parallel.mesh` takes it.
      steps, tokens: how long the run is, by one of them, for its hours and cost; None for one step.
      price: of a chip-hour, in any currency.
      explain: whether a job that does not fit is compiled again, with fewer rows, to see what is large in it.
      rules: changes to the layout, as `jnn.parallel.layout` takes them.

    Raises:
      ValueError: both steps and tokens, or tokens of a batch that has none; a length or price that is not positive;
        or what `topology`, `mesh`, `layout` and `make_step` refuse.

    >>> import jax.numpy as jnp, jnn, optax
    >>> def loss(params, batch, ctx):
    ...     return jnn.train.LossOutput(jnn.losses.squared_error(jnn.layers.linear(params, batch["x"]), batch["y"]))
    >>> batch = {name: jax.ShapeDtypeStruct((8, 4), jnp.float32) for name in "xy"}
    >>> from jnn.preflight import TrainingJob
    >>> report = preflight(TrainingJob(jnn.layers.linear_spec(4, 4), loss, optax.sgd(0.1), batch), "cpu:1", "data=1")
    >>> report.work.model == 2 * (2 * 8 * 4 * 4), report.fit.fits              # the product, and its gradient by w
    (True, True)
    """
    total = _steps(job, steps, tokens, price)
    where = topology(machine) if isinstance(machine, str) else machine
    place = layout(job.spec, make_mesh(mesh, where.devices), **rules)
    compiled = compile_for(prepare(job, place), where)
    found = _collectives(compiled.text, place.mesh, where) if compiled.text else []
    rows = tuple(communication(found, place.mesh, where))
    line = roofline(compiled.flops, _traffic(compiled.text, where.chip), rows, where) if compiled.text else None
    return Report(
        machine=Machine(where.name, where.chips, len(where.devices), where.hosts, dict(place.mesh.shape)),
        fit=_fit(compiled, where, explain),
        work=_work(compiled),
        communication=rows,
        faults=tuple(_faults(compiled, found)),
        roofline=line,
        bill=None if line is None or total is None else _bill(total, line, where, price),
    )


def _steps(job: Job, steps: float | None, tokens: float | None, price: float | None) -> float | None:
    for name, value in {"steps": steps, "tokens": tokens, "price": price}.items():
        if value is not None and not value > 0:
            raise ValueError(f"preflight: {name} is a positive number or None, found {value!r}.")
    if steps is not None and tokens is not None:
        raise ValueError("preflight: a run's length is given by steps or by tokens, found both.")
    return steps if tokens is None else steps_of(job, tokens)


def steps_of(job: Job, tokens: float) -> float:
    """Step count: the steps in which a job sees so many tokens.

    Raises:
      ValueError: the job's batch has no tokens.
    """
    if job.tokens is None:
        raise ValueError('preflight: found no tokens: batch["x"] is no integers of (rows, time). Give steps instead.')
    return tokens / job.tokens


def _collectives(text: str, mesh: Mesh, where: Topology) -> list[Collective]:
    if where.slices == 1 or where.chip.platform != "tpu":
        return collectives(text, mesh)
    slices: dict[int, list[int]] = {}
    for i, device in enumerate(mesh.devices.flat):
        slices.setdefault(where.slice_of(device), []).append(i)
    return collectives_of_slices(text, mesh, list(slices.values()))


def _traffic(text: str, chip: Chip) -> Traffic:
    return hbm_traffic(text, chip.platform, chip.cache)


def _fit(compiled: Compiled, where: Topology, explain: bool) -> MemoryFit:
    prepared, capacity = compiled.prepared, where.chip.capacity
    if compiled.program is not None:
        held = memory(compiled.program)
        spare = round(where.chip.spare * held.peak)
        parts, needed = dataclasses.asdict(held) | ({"spare": spare} if spare else {}), held.peak + spare
        values = _values(compiled.text, 3 if capacity is None or needed <= capacity else 10)
        return MemoryFit(capacity, needed, prepared.device_bytes, parts, values)
    assert compiled.problem is not None
    values, rows = _explain(prepared, where, compiled.problem.needed) if explain else ((), 0)
    note = compiled.problem.message
    if values:
        note += f"\nThe largest values are those of a batch of {rows} rows in place of {prepared.job.rows}."
    return MemoryFit(capacity, compiled.problem.needed, prepared.device_bytes, {}, values, note)


def _values(program: str, n: int) -> tuple[tuple[int, str], ...]:
    name = lambda dtype, shape: f"{dtype}[{','.join(map(str, shape))}]"
    names = lambda value: " ".join(name(*array) for array in array_types(value.type)[:2])
    return tuple((value.bytes, f"{names(value)} at {value.place}") for value in largest(program, n))


def _explain(prepared: Prepared, where: Topology, needed: int | None) -> tuple[tuple[tuple[int, str], ...], int]:
    """The largest values of the same step with half the rows that might fit, or the fewest that its devices share."""
    job, place = prepared.job, prepared.layout
    shares = job.lanes or devices_along(place.mesh, place.named["batch"])  # lanes: a multiple of these
    least = shares * job.microbatches
    share = (where.chip.capacity or 0) / (needed or math.inf) / 2
    rows = max(1, int(share * job.rows) // least) * least
    if rows >= job.rows:
        return (), 0
    few = jax.tree.map(lambda x: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype), job.batch)
    text = compile_for(prepare(job.of(few), place), where).text
    return (_values(text, 10), rows) if text else ((), 0)


def _work(compiled: Compiled) -> Work:
    job, counted = compiled.prepared.job, compiled.flops
    return Work(
        parameters=count_parameters(job.spec),
        state_bytes=compiled.prepared.state_bytes,
        rows=job.rows,
        tokens=job.tokens,
        model=counted.model,
        hardware=counted.hardware,
        notes=(*counted.notes, *compiled.refused),
    )


def _faults(compiled: Compiled, rows: list[Collective]) -> list[str]:
    prepared = compiled.prepared
    found = [
        *faults.unsharded(prepared.layout),
        *faults.float32(compiled.flops, prepared.job.options.get("compute_dtype")),
    ]
    if compiled.program is not None:
        found += faults.whole_batch(compiled.text, prepared)
        found += faults.in_vain(compiled.program)
        found += unexpected_communication(rows, compiled.text, prepared.layout)
    return found


def _bill(steps: float, line: Roofline, where: Topology, price: float | None) -> Cost:
    hours = steps * line.seconds / 3600
    return Cost(steps, hours, hours * where.chips, None if price is None else hours * where.chips * price)
