"""Embeddings: what their losses are made of. Vectors are the last axis, rows the one before.

    unit, length, similarities, own_column      of vectors (..., d) and of rows (..., n, d)
    present, rows, same_label                   which rows are there, and which are of one class

Laws: float32 at least; every square fits, whatever the vectors' lengths; at 0 all is finite, gradients included.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide


def unit(x: jax.Array) -> jax.Array:
    """x (..., d) over its length; 0 stays 0."""
    x = wide(x) / _size(wide(x))  # the answer does not hang on it, nor does its gradient
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.where(square > 0, square, 1))


def length(x: jax.Array) -> jax.Array:
    """The Euclidean norm of x (..., d); its gradient at 0 is 0."""
    size = _size(wide(x))
    square = jnp.sum(jnp.square(wide(x) / size), axis=-1)
    return jnp.where(square > 0, size[..., 0] * jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _size(x: jax.Array) -> jax.Array:
    """The greatest absolute value of each vector, (..., 1); 1 where that is none to divide by."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    return jnp.where(size > jnp.finfo(x.dtype).tiny, size, 1)


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


def present(name: str, mask: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
    """Which rows are there, as bools of this shape: all of them without a mask."""
    if mask is None:
        return jnp.ones(shape, bool)
    checks.array(name, mask, "mask")
    if mask.shape != shape:
        raise ValueError(f"{name}: expected a mask {shape}, one for each row, found {checks.describe(mask)}.")
    return mask != 0


def rows(name: str, mask: jax.Array | None, **arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Which rows are there, then the arrays (..., n, d), wide and checked, with zeros for those that are not."""
    for x in arrays.values():
        checks.floats(name, x, ndim=2)
    checks.same_shape(name, **arrays)
    there = present(name, mask, next(iter(arrays.values())).shape[:-1])
    return there, *(jnp.where(there[..., None], wide(x), 0) for x in arrays.values())


def same_label(name: str, labels: jax.Array, there: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which pairs of rows are positive, and which negative: (..., n, n) each; both rows are there, and are two."""
    checks.integers(name, labels, name="labels")
    if labels.shape != there.shape:
        raise ValueError(f"{name}: expected labels {there.shape}, one a row, found {checks.describe(labels)}.")
    same, both = labels[..., :, None] == labels[..., None, :], there[..., :, None] & there[..., None, :]
    return same & both & ~eye(same), ~same & both


def positive(name: str, what: str, value: jax.Array | float, like: jax.Array) -> jax.Array | float:
    """A number above 0, such as a temperature; NaN where a traced one is not."""
    number: jax.Array | float = checks.number(name, what, value, lambda t: t > 0, "> 0", like=like)
    return number
