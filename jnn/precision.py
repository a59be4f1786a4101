"""The precision of sums: statistics, softmax, losses and metrics are computed in float32 at least."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def wide(x: jax.Array) -> jax.Array:
    """x in float32, or as it is where that would lose digits.

    >>> wide(jnp.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
