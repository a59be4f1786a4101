"""A network's training in jnn: `jnn.train.make_step` on the workload's batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import optimizer_of
from experiments.benchmarks.measure import Built, training_step
from jnn.losses import cross_entropy, squared_error
from jnn.param import Spec
from jnn.train import LossOutput, create_state, make_step, update


class Network(NamedTuple):
    """A network: what it declares, and what it computes.

    Attributes:
      spec: of its parameters.
      apply: (params, x, key=key) -> outputs, or of batch norm (outputs, statistics); "diffusion" takes (params, x, t).
      stats: of its running statistics, where there are any.
    """

    spec: Spec
    apply: Callable[..., Any]
    stats: Spec | None = None


def train(workload: str, network: Network, *, calls: int = 1, jitted: bool = False) -> Built:
    """Trains on the workload's batch, `calls` updates a call; or jitted by `jax.jit` alone, not by `make_step`."""
    batch = problems.batch(workload)
    if calls > 1:
        batch = {k: np.broadcast_to(v, (calls, *v.shape)) for k, v in batch.items()}
    batch = jax.tree.map(jnp.asarray, batch)

    def loss(params, batch, ctx):
        found = network.apply(params, *problems.inputs(batch), key=ctx.key)
        outputs, stats = found if network.stats else (found, None)
        return LossOutput(values(outputs, batch["y"]), stats=stats)

    optimizer, key = optimizer_of(workload), jax.random.key(1)
    momentum = {"stats_momentum": problems.STATISTICS_MOMENTUM} if network.stats else {}
    if jitted:
        step_of = jax.jit(lambda state, batch: update(loss, optimizer, state, batch, key), donate_argnums=0)
    else:
        step_of = make_step(loss, optimizer, key, steps_per_call=calls, **momentum)
    stats = jnn.init(network.stats, jax.random.key(0)) if network.stats else None
    state = create_state(jnn.init(network.spec, jax.random.key(0)), optimizer, stats=stats)

    return Built(training_step(step_of, state, batch), last_loss, jnn.count_params(network.spec), updates=calls)


def values(outputs: jax.Array, y: jax.Array) -> jax.Array:
    """Cross-entropy of each label, or the squared error of each example."""
    if jnp.issubdtype(y.dtype, jnp.integer):
        return cross_entropy(outputs, y)
    return squared_error(outputs.reshape(len(y), -1), y.reshape(len(y), -1))


def last_loss(metrics) -> float:
    """The last mean of one or several steps."""
    total, weight = (np.ravel(sums)[-1] for sums in metrics["loss"])
    return float(total / weight)
