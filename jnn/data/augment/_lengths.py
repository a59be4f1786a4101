"""Which positions of padded sequences are real: what audio and text augmentations share."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.data.augment._window import interval


def lengths_of(name: str, x: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """One length a row of x (b, t, ...), int32 (b,): t where `lengths` is None.

    Raises:
      TypeError: lengths that are not integers.
      ValueError: not one for each row, or (where values are known) longer than t or negative.
    """
    if lengths is None:
        return jnp.full(x.shape[0], x.shape[1], jnp.int32)
    checks.integers(name, lengths)
    if lengths.shape != x.shape[:1]:
        raise ValueError(
            f"{name}: expected one length for each of {x.shape[0]} rows, found {checks.describe(lengths)}."
        )
    checks.lengths(name, lengths, x.shape[1], of="places")
    return lengths.astype(jnp.int32)


def real_places(lengths: jax.Array, t: int) -> jax.Array:
    """True before each row's length: (b, t)."""
    return interval(jnp.zeros_like(lengths), lengths, t)
