"""Keys whose draws for some rows of a batch are those that the whole batch's rows would get.

    row_keys(tree, offsets, first) -> tree          in place of every key of a tree

A micro-batch is some rows of a batch. Layers draw noise for the rows that they see, from a key that they are given: the
same for every micro-batch, were nothing done. A key of rows draws for row i what its key draws for row first +
offsets[i] of all. Splitting and folding in give keys of rows again.

Threefry's bits are a function of the key and of where they stand in the array, so this costs nothing.

Law: a draw whose first axis is that of the rows is that part of the whole draw; every other draw is the key's own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl, threefry2x32_p

from jnn.param import is_key

_THREEFRY = "threefry2x32"


def row_keys(tree: Any, offsets: np.ndarray, first: jax.Array) -> Any:
    """A tree with keys of rows in place of its keys; arrays that are no keys stay as they are.

    Args:
      tree: arrays and keys (`jax.random.key`), of any shapes. Keys of another generator than Threefry have noise of
        their own for every first row.
      offsets: (rows,), of the rows that are drawn for, from the first of them.
      first: its number among all rows.

    >>> whole = jax.random.bits(jax.random.key(0), (6, 2))
    >>> key = row_keys(jax.random.key(0), np.array([0, 1]), jnp.array(4))
    >>> bool((jax.random.bits(key, (2, 2)) == whole[4:]).all())
    True
    """

    def of_rows(a: jax.Array) -> jax.Array:
        if not is_key(a):
            return a
        if jax.random.key_impl(a) != _THREEFRY or not jax.threefry_partitionable.value:
            return jax.vmap(lambda key: jax.random.fold_in(key, first))(a.reshape(-1)).reshape(a.shape)
        data = jax.random.key_data(a)
        number = jnp.broadcast_to(first.astype(jnp.uint32), (*a.shape, 1))
        return jax.random.wrap_key_data(jnp.concatenate([data, number], -1), impl=_of_rows(tuple(offsets.tolist())))

    return jax.tree.map(of_rows, tree)


@functools.cache
def _of_rows(offsets: tuple[int, ...]) -> Hashable:
    """A generator: Threefry's two words, and the number of the first row."""

    def derived(key: jax.Array, make: Any) -> jax.Array:
        data = jax.random.key_data(make(jax.random.wrap_key_data(key[:2], impl=_THREEFRY)))
        return jnp.concatenate([data, jnp.broadcast_to(key[2], (*data.shape[:-1], 1))], -1)

    def bits(key: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
        if shape[:1] != (len(offsets),):
            return jax.random.bits(jax.random.wrap_key_data(key[:2], impl=_THREEFRY), shape, f"uint{width}")
        high, low = threefry2x32_p.bind(key[0], key[1], *_places(key[2] + np.array(offsets, np.uint32), shape[1:]))
        if width == 64:
            return (high.astype(jnp.uint64) << jnp.uint64(32)) | low.astype(jnp.uint64)
        return (high ^ low).astype(f"uint{width}")

    return define_prng_impl(
        key_shape=(3,),
        seed=lambda seed: derived(jnp.zeros(3, jnp.uint32), lambda _: jax.random.key(seed, impl=_THREEFRY)),
        split=lambda key, shape: derived(key, lambda key: jax.random.split(key, shape)),
        fold_in=lambda key, data: derived(key, lambda key: jax.random.fold_in(key, data)),
        random_bits=bits,
        name="threefry2x32 of rows",
        tag=f"rows{hash(offsets):x}",
    )


def _places(rows: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Where the elements (rows, *shape) stand among those of all rows: high and low words of their numbers."""
    sizes, size = [math.prod(shape[i + 1 :]) for i in range(len(shape))], math.prod(shape)
    within = sum(
        (jax.lax.broadcasted_iota(jnp.uint32, shape, i) * np.uint32(n) for i, n in enumerate(sizes)),
        start=jnp.zeros(shape, jnp.uint32),
    )
    high, low = _times(rows, size)
    each = (len(rows), *[1] * len(shape))
    total = low.reshape(each) + within[None]
    return high.reshape(each) + (total < within[None]).astype(jnp.uint32), total


def _times(a: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """a * n in two words, by halves of words."""
    half, mask = np.uint32(16), np.uint32(0xFFFF)
    a_high, a_low, n_high, n_low = a >> half, a & mask, np.uint32(n >> 16), np.uint32(n & 0xFFFF)
    lowest, one, other = a_low * n_low, a_high * n_low, a_low * n_high
    middle = (lowest >> half) + (one & mask) + (other & mask)
    return a_high * n_high + (one >> half) + (other >> half) + (middle >> half), a * np.uint32(n)
