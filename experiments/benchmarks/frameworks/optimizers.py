"""What frameworks on JAX share that leave losses and updates to Optax: its optimizers by a problem's name, a mean loss,
and a jitted step whose state is donated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks import problems
from experiments.benchmarks.measure import Built, training_step

OPTIMIZERS = {
    "adam": lambda: optax.adam(problems.LEARNING_RATE),
    "adamw": lambda: optax.adamw(problems.LEARNING_RATE, weight_decay=problems.WEIGHT_DECAY),
    "sgd": lambda: optax.sgd(problems.SGD_RATE),
    "momentum": lambda: optax.sgd(problems.SGD_RATE, momentum=problems.MOMENTUM),
}


def optimizer_of(workload: str) -> optax.GradientTransformation:
    """The workload's optimizer."""
    return OPTIMIZERS[problems.PROBLEMS[workload].optimizer]()


def mean_loss(outputs: jax.Array, y: jax.Array) -> jax.Array:
    """Cross-entropy where the targets are labels, else the squared error."""
    if jnp.issubdtype(y.dtype, jnp.integer):
        return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()
    return jnp.square(outputs - y).mean()


def train(workload: str, loss: Callable[..., tuple[Any, Any]], params: Any, stats: Any, batch: Any, seed: int) -> Built:
    """Trains by `loss(params, stats, batch, key) -> value, stats`."""
    optimizer = optimizer_of(workload)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, batch):
        params, stats, opt_state, key = state
        key, noise = jax.random.split(key)
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params, stats, batch, noise)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), stats, opt_state, key), value

    state = (params, stats, optimizer.init(params), jax.random.key(seed))
    return Built(training_step(update, state, batch), float, sum(x.size for x in jax.tree.leaves(params)))
