"""Embeddings: what their losses are made of. Vectors are the last axis, rows the one before.

    similarities, own_column                    of vectors (..., d) and of rows (..., n, d)
    rows, same_label                            which rows are there, and which are of one class

Laws: float32 at least; every square fits, whatever the vectors' lengths; at 0 all is finite, gradients included.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import masked
from jnn.precision import wide


def similarities(x: jax.Array, y: jax.Array) -> jax.Array:
    """The dot products of each row of x (..., n, d) with each of y (..., m, d): (..., n, m)."""
    return jnp.einsum("...nd,...md->...nm", x, y)


def own_column(logits: jax.Array, there: jax.Array) -> jax.Array:
    """Cross-entropy of each row's softmax with its own column: (..., n, m) -> (..., n), 0 for rows that are not there.

    The first n columns are the rows' own, and those of rows that are not there are left out; of others, all count.
    """
    n, m = logits.shape[-2:]
    counts = jnp.concatenate([there, jnp.ones((*there.shape[:-1], m - n), bool)], axis=-1)
    seen = jnp.where(counts[..., None, :] | eye(logits), logits, -jnp.inf)
    own = jnp.diagonal(logits, axis1=-2, axis2=-1)
    return jnp.where(there, jax.nn.logsumexp(seen, axis=-1) - own, 0)


def eye(like: jax.Array) -> jax.Array:
    """Whether a row meets itself, in the shape of `like` (..., n, m)."""
    row, column = (jax.lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - axis) for axis in (2, 1))
    return row == column


def rows(name: str, mask: jax.Array | None, **arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Which rows are there, then the arrays (..., n, d), wide and checked, with zeros for those that are not."""
    for x in arrays.values():
        checks.floats(name, x, ndim=2)
    checks.same_shape(name, **arrays)
    there = masked(name, mask, next(iter(arrays.values())).shape[:-1])
    return there, *(jnp.where(there[..., None], wide(x), 0) for x in arrays.values())


def same_label(name: str, labels: jax.Array, there: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which pairs of rows are positive, and which negative: (..., n, n) each; both rows are there, and are two."""
    checks.integers(name, labels, name="labels")
    if labels.shape != there.shape:
        raise ValueError(f"{name}: expected labels {there.shape}, one a row, found {checks.describe(labels)}.")
    same, both = labels[..., :, None] == labels[..., None, :], there[..., :, None] & there[..., None, :]
    return same & both & ~eye(same), ~same & both
