"""What a command line asks of a pre-flight: printed, and an exit code.

main(job, "v5p:8x8x8", "fsdp=64,tensor=8", ...) -> 0 or 1
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from jnn.preflight._budget import Budget
from jnn.preflight._compile import Job, TrainingJob
from jnn.preflight._preflight import preflight
from jnn.preflight._report import Report
from jnn.preflight._search import Search, search
from jnn.train import LossFn


def main(
    job: Job,
    machine: str,
    mesh: str,
    *,
    steps: float | None = None,
    price: float | None = None,
    budget: str | None = None,
    json: bool = False,
    searching: bool = False,
    compiles: int = 8,
    losses: Mapping[str, LossFn] | None = None,
) -> int:
    """Prints the report of a pre-flight, or of a search, to standard output.

    Args:
      job, machine, mesh, steps, price: as in `preflight`.
      budget: as `Budget.parse` takes it; None for none.
      json: whether to print JSON.
      searching: whether to try meshes (of `data`, `fsdp` and `tensor`, in place of `mesh`), 1 to 8 micro-batches, and
        the losses.
      compiles, losses: as in `search`.

    Returns:
      1 where a budget was given and the step, or every step that was tried, is over it; otherwise 0. What is over, and
      whether some were not tried, goes to standard error.

    Raises:
      ValueError, RuntimeError: as in `preflight`, or the budget is not of its form.

    >>> import jax, jax.numpy as jnp, jnn, optax
    >>> def loss(params, batch, ctx):
    ...     return jnn.train.LossOutput(jnn.losses.squared_error(jnn.layers.linear(params, batch["x"]), batch["y"]))
    >>> batch = {name: jax.ShapeDtypeStruct((8, 4), jnp.float32) for name in "xy"}
    >>> job = TrainingJob(jnn.layers.linear_spec(4, 4), loss, optax.sgd(0.1), batch)
    >>> main(job, "cpu:1", "data=-1", budget="bytes=1")
    cpu:1: 1 chip, 1 device, 1 host; data=1
    ...
    0
    """
    limits = Budget.parse(budget) if budget is not None else None
    bill: dict[str, Any] = {"steps": steps, "price": price}
    found: Search | Report
    if searching:
        if not isinstance(job, TrainingJob):
            raise ValueError(
                "preflight: a search tries other losses and micro-batches, which several updates have not."
            )
        log = lambda line: print(line, file=sys.stderr, flush=True)
        found = search(job, machine, losses=losses, microbatches=(1, 2, 4, 8), compiles=compiles, log=log, **bill)
    else:
        found = preflight(job, machine, mesh, **bill)
    print(found.json() if json else found)
    lines = [] if limits is None else found.over(limits)
    verdict = "undecided" if isinstance(found, Search) and found.untried else "over budget"
    for line in lines:
        print(f"{verdict}: {line}", file=sys.stderr)
    return int(bool(lines))
