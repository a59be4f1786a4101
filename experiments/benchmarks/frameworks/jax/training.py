"""A network's training in plain JAX: one jitted step of state that is donated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import mean_loss, optimizer_of
from experiments.benchmarks.measure import Built, training_step


class Network(NamedTuple):
    """Parameters and `apply(params, x, key) -> outputs`, or with batch norm `(outputs, statistics)`."""

    params: Any
    apply: Callable[..., Any]
    norms: bool = False


def train(workload: str, network: Network) -> Built:
    """Trains on the workload's batch."""
    batch, optimizer = jax.tree.map(jnp.asarray, problems.batch(workload)), optimizer_of(workload)

    def loss(params, batch, key):
        found = network.apply(params, *problems.inputs(batch), key)
        outputs, stats = found if network.norms else (found, ())
        return mean_loss(outputs, batch["y"]), stats

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, batch):
        params, running, opt_state, key = state
        key, noise = jax.random.split(key)
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params, batch, noise)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        m = problems.STATISTICS_MOMENTUM
        running = jax.tree.map(lambda old, new: m * old + (1 - m) * new, running, stats)
        return (optax.apply_updates(params, updates), running, opt_state, key), value

    key = jax.random.key(1)
    stats = jax.eval_shape(loss, network.params, batch, key)[1]
    running = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), stats)
    state = (network.params, running, optimizer.init(network.params), key)

    count = sum(x.size for x in jax.tree.leaves(network.params))
    return Built(training_step(update, state, batch), float, count)
