"""Many runs of one network as one program: a row of the batch is a run, with parameters, noise and draws of its own.

    rows(runs, seed)        batches that hold every run
    run_sums                how `train(..., sums=run_sums)` adds up: each run's gradient by itself, one after the other

The parameters are `jnn.stack(spec, runs, "runs")`; the loss is of one run: its parameters, a batch of its number "x".
One after the other is twice as fast as `vmap` on a CPU, where what a run gathers stays in the cache; of several devices
each computes every run.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data import Batches
from jnn.param import Params
from jnn.train import Batch, Context, LossFn, Sums, gradient_sums


def rows(runs: int, seed: int) -> Batches:
    """Batches that hold every run by its number, in another order each step."""
    return Batches({"x": np.arange(runs, dtype=np.int32)}, runs, seed=seed)


def run_sums(loss: LossFn, params: Params, batch: Batch, ctx: Context, **how: Any) -> tuple[Sums, Any]:
    """Gradients (runs, ...) as if each run were trained alone; what is measured adds up over all."""
    order = jnp.argsort(batch["x"])
    each = jax.tree.map(lambda a: a[order][:, None], batch)
    one = lambda own: gradient_sums(loss, own[0], own[1], ctx.fold(own[1]["x"][0]), **how)
    found, kept = jax.lax.map(one, (params, each))
    total = jax.tree.map(lambda a: a.sum(0), found._replace(gradients=None))
    # the gradient of a mean is divided by the weight of all
    return total._replace(gradients=jax.tree.map(lambda g: g * total.weight, found.gradients)), kept
