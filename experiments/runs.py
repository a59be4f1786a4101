"""Many runs of one network as one program: a row of the batch is a run, with parameters, noise and draws of its own.

    train_runs(config, count, spec, loss, optimizer, every=..., name=...)     `train`, of so many runs
    run_sums                                                                  how it adds up gradients

The loss is of one run: its own parameters, and a batch of its number "x". One after the other is twice as fast as by
`vmap` on a CPU, where what a run gathers stays in the cache; of several devices each computes every run.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments.training import named, train
from jnn.data import Batches
from jnn.param import Params, Spec
from jnn.train import Batch, Context, History, LossFn, Sums, TrainState, gradient_sums


def train_runs(
    config: Any, count: int, spec: Spec, loss: LossFn, optimizer: optax.GradientTransformation, **options: Any
) -> tuple[TrainState, History]:
    """`train` of so many runs, whose parameters are stacked; each row of the history is named as `name` says."""
    rows = Batches({"x": np.arange(count, dtype=np.int32)}, count, seed=config.seed)
    stacked = jnn.stack(spec, count, "runs")
    state, history = train(config, stacked, loss, optimizer, rows, sums=run_sums, **options)
    return state, named(history, options["name"])


def run_sums(loss: LossFn, params: Params, batch: Batch, ctx: Context, **how: Any) -> tuple[Sums, Any]:
    """Gradients (runs, ...) as if each run were trained alone; what is measured adds up over all."""
    order = jnp.argsort(batch["x"])  # rows are shuffled
    each = jax.tree.map(lambda a: a[order][:, None], batch)
    one = lambda own: gradient_sums(loss, own[0], own[1], ctx.fold(own[1]["x"][0]), **how)
    found, kept = jax.lax.map(one, (params, each))
    total = jax.tree.map(lambda a: a.sum(0), found._replace(gradients=None))
    # the gradient of a mean is divided by the weight of all
    return total._replace(gradients=jax.tree.map(lambda g: g * total.weight, found.gradients)), kept
