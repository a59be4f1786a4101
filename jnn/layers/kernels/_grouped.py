"""Products of sorted rows with one matrix per group: the groups are of any sizes, the shapes are static.

    sort_by_group(groups, n) -> sizes, order        which rows come first
    blocks(rows, w, sizes) -> y                     each row with its group's matrix, in blocks of equal size
    ragged(rows, w, sizes) -> y                     by `jax.lax.ragged_dot`
    every(rows, w, sizes) -> y                      each row with every matrix, of which one counts

Laws: all are the same function, and so is `_group_loop`'s; rows beyond the sum of the sizes give zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn.flop_marks import busy
from jnn.precision import take

Grouped = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # (r, a), (n, a, b), (n,) -> (r, b)


def sort_by_group(groups: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """(r,) group of each row -> (n,) sizes, and (r,) the rows in order of their groups; group n is for none.

    >>> sort_by_group(jnp.array([2, 0, 2]), 3)[1].tolist()
    [1, 0, 2]
    """
    sizes = jnp.sum(groups[:, None] == jnp.arange(n, dtype=groups.dtype)[None], 0, dtype=jnp.int32)
    return sizes, jnp.argsort(groups, stable=True)


def blocks(rows: jax.Array, w: jax.Array, sizes: jax.Array) -> jax.Array:
    """Each group is filled up to whole blocks; each block is a plain product with its group's matrix.

    With blocks of r / n rows there are at most 2 n, whatever the sizes: at most twice the work, on any backend and
    under any transformation, with two copies of the matrices.

    >>> blocks(jnp.ones((3, 1)), jnp.array([[[1.0]], [[5.0]]]), jnp.array([1, 2]))[:, 0].tolist()
    [1.0, 5.0, 5.0]
    """
    n, block = w.shape[0], max(1, -(-rows.shape[0] // w.shape[0]))
    full = -(-sizes // block)  # how many blocks a group takes
    group = group_of(jnp.arange(rows.shape[0]), sizes)  # n for rows of none
    start, first = (jnp.append(jnp.cumsum(x) - x, 0) for x in (sizes, full))
    place = jnp.where(group < n, first[group] * block + jnp.arange(rows.shape[0]) - start[group], 2 * n * block)
    filled = jnp.zeros((2 * n * block, rows.shape[1]), rows.dtype).at[place].set(rows, mode="drop")
    owner = jnp.minimum(group_of(jnp.arange(2 * n), full), n - 1)
    with busy(rows.shape[0], 2 * n * block):
        y = jnp.einsum("nra,nab->nrb", filled.reshape(2 * n, block, -1), take(w, owner, known=True))
    return y.reshape(2 * n * block, -1).at[place].get(mode="fill", fill_value=0)


def ragged(rows: jax.Array, w: jax.Array, sizes: jax.Array) -> jax.Array:
    """A kernel on TPUs and GPUs that does no work for rows beyond; `vmap` only over rows, w and sizes together.

    >>> ragged(jnp.ones((3, 1)), jnp.array([[[1.0]], [[5.0]]]), jnp.array([1, 2]))[:, 0].tolist()
    [1.0, 5.0, 5.0]
    """
    return jax.lax.ragged_dot(rows, w, sizes)


def every(rows: jax.Array, w: jax.Array, sizes: jax.Array) -> jax.Array:
    """Each row is multiplied by the matrices of all groups, and its own group's product is kept: n times the work.

    >>> every(jnp.ones((3, 1)), jnp.array([[[1.0]], [[5.0]]]), jnp.array([1, 2]))[:, 0].tolist()
    [1.0, 5.0, 5.0]
    """
    own = group_of(jnp.arange(rows.shape[0]), sizes)[:, None] == jnp.arange(w.shape[0])[None]
    return jnp.sum(jnp.where(own[..., None], jnp.einsum("ra,nab->rnb", rows, w), 0), 1)


def group_of(rows: jax.Array, sizes: jax.Array) -> jax.Array:
    """The group that each row of that number is in; n for rows beyond the last group.

    >>> group_of(jnp.arange(4), jnp.array([1, 0, 2])).tolist()
    [0, 2, 2, 3]
    """
    return jnp.sum(rows[:, None] >= jnp.cumsum(sizes)[None], 1, dtype=jnp.int32)  # how many groups end before
