"""Transitions that runs of reinforcement learning have seen: as rows to learn from, a buffer of them, and metrics.

as_rows(seen) -> rows                  transitions (steps, n, ...), one behind the other
buffer_for(seen, capacity) -> buffer   with room for so many rows of them
metrics(seen, losses) -> metrics       the returns of those episodes that ended, and the loss of all updates
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import jnn
from jnn.environments import replay_buffer


def as_rows(seen: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Transitions (steps, n, ...) as (steps * n, ...)."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)


def buffer_for(seen: dict[str, Any], capacity: int) -> dict[str, Any]:
    """Replay buffer for transitions (steps, n, ...), of which shapes and dtypes are enough."""
    return replay_buffer(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[2:], x.dtype), seen), capacity)


def metrics(seen: dict[str, jax.Array], losses: Any) -> dict[str, Any]:
    """Metrics of a step: losses are those of its updates, stacked."""
    ended = (seen["terminated"] | seen["truncated"]).astype(jnp.float32)
    return {"return": jnn.metrics.mean(seen["return"], ended), "loss": jax.tree.map(lambda x: x.sum(0), losses)}
