"""Optax's optimizers by a problem's name for them, and the mean loss of those that have no losses of their own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks import problems

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
