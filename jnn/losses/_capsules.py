"""Capsules: losses of how long vectors are, each of which says how sure it is of its class."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import one_of
from jnn.vectors import length


def capsule_margin_loss(
    capsules: jax.Array, labels: jax.Array, *, present: float = 0.9, absent: float = 0.1, down: float = 0.5
) -> jax.Array:
    """Capsule margin loss: `max(0, 0.9 - |v|)^2` of the true class, half of `max(0, |v| - 0.1)^2` of each other one.

    See "Dynamic Routing Between Capsules", Sabour, Frosst and Hinton, 2017.

    Args:
      capsules: (..., classes, d), floating point.
      labels: (...), integers in 0..classes-1; or (..., classes), booleans, where several are there at once.
      present: how long the true class's capsule should be at least.
      absent: how long others should be at most.
      down: weight of the others.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: capsules are not floating point, or labels neither integers nor booleans.
      ValueError: there is not one label for each example, or for each class; or they are known to be out of range.

    >>> capsule_margin_loss(jnp.array([[0.5], [0.3]]), jnp.array(0)).round(3)
    Array(0.18, dtype=float32)
    """
    checks.floats("capsule_margin_loss", capsules, ndim=2)
    checks.array("capsule_margin_loss", labels, "labels")
    size = length(capsules)
    if labels.dtype == bool:
        checks.same_shape("capsule_margin_loss", lengths=size, labels=labels)
        true, known = labels, jnp.array(True)
    else:
        size, true = one_of("capsule_margin_loss", size, labels)
        known = jnp.any(true, axis=-1)
    short, long = (jnp.square(jnp.maximum(x, 0)) for x in (present - size, size - absent))
    return jnp.where(known, jnp.sum(jnp.where(true, short, down * long), axis=-1), jnp.nan)
