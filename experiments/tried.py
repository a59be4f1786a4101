"""What runs of reinforcement learning have tried: as rows to learn from, and as numbers to tell.

rows(seen) -> rows                 transitions (steps, n, ...), one behind the other
told(seen, losses) -> metrics      the returns of those episodes that ended, and the loss of all updates
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import jnn


def rows(seen: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Transitions (steps, n, ...) as (steps * n, ...)."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)


def told(seen: dict[str, jax.Array], losses: Any) -> dict[str, Any]:
    """Metrics of a step: losses are those of its updates, stacked."""
    ended = (seen["terminated"] | seen["truncated"]).astype(jnp.float32)
    return {"return": jnn.metrics.mean(seen["return"], ended), "loss": jax.tree.map(lambda x: x.sum(0), losses)}
