"""Products of sorted rows with one matrix per group, on a CPU: a loop over blocks of rows, no more than are there.

    by_loop(rows, w, sizes) -> y                    the function of `_grouped`

Each block begins where its group does, or where the block before it ends. The last one of a group reaches into the
next one's rows; what it says of these is written over, as blocks come in order. How many blocks there are hangs on the
sizes, and JAX has no gradient of such a loop: so this is a primitive of its own, bilinear, as that of `_taps`.

Letters: `r` rows, `n` groups, `a` and `b` features on either side.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad

from jnn.layers.kernels._grouped import blocks, group_of
from jnn.layers.kernels._primitive import on_a_mesh, primitive
from jnn.precision import wide_dtype

LEAST, MOST = 8, 128  # rows of a block: enough for a product, and few that are for nothing


def by_loop(rows: jax.Array, w: jax.Array, sizes: jax.Array) -> jax.Array:
    """Products by group, in as many blocks as the groups fill; a block reads one matrix, and an empty group's nobody.

    >>> by_loop(jnp.ones((3, 1)), jnp.array([[[1.0]], [[5.0]]]), jnp.array([1, 2]))[:, 0].tolist()
    [1.0, 5.0, 5.0]
    """
    return _primitives()[0].bind(rows, w, sizes, turned=False)


def no_loop(*arrays: jax.Array) -> str:
    """Why it cannot run on rows that come of these; "" where it can."""
    if on_a_mesh(*arrays):
        return "the arrays lie on a mesh"
    return "" if all(isinstance(n, int) for a in arrays for n in a.shape) else "how many rows there are is not known"


class _Blocks(NamedTuple):
    """Of each block its group, its first row and how many of its rows are the group's; how many blocks there are."""

    size: int
    group: jax.Array
    first: jax.Array
    own: jax.Array
    total: jax.Array


def _cut(r: int, sizes: jax.Array) -> _Blocks:
    n = sizes.shape[0]
    size = max(1, min(r, max(LEAST, min(MOST, -(-r // n)))))
    full = -(-sizes // size)
    number = jnp.arange(r // size + n)
    group = jnp.minimum(group_of(number, full), n - 1)
    row = (number - (jnp.cumsum(full) - full)[group]) * size  # of the group
    return _Blocks(size, group, (jnp.cumsum(sizes) - sizes)[group] + row, sizes[group] - row, jnp.sum(full))


def _product(rows: jax.Array, w: jax.Array, sizes: jax.Array, *, turned: bool) -> jax.Array:
    """(r, a), (n, a, b) -> (r, b), or (n, b, a) -> (r, b) where the matrices are turned."""
    cut, features = _cut(len(rows), sizes), w.shape[1 if turned else 2]
    x = jnp.pad(rows, ((0, cut.size), (0, 0)))
    meet = (((1,), (1 if turned else 0,)), ((), ()))

    def block(i: jax.Array, y: jax.Array) -> jax.Array:
        own = jax.lax.dynamic_index_in_dim(w, cut.group[i], keepdims=False)
        part = jax.lax.dynamic_slice_in_dim(x, cut.first[i], cut.size)
        return jax.lax.dynamic_update_slice_in_dim(y, jax.lax.dot_general(part, own, meet), cut.first[i], 0)

    y = jax.lax.fori_loop(0, cut.total, block, jnp.zeros((len(x), features), rows.dtype))
    nothing = jnp.zeros((cut.size, features), y.dtype)
    return jax.lax.dynamic_update_slice_in_dim(y, nothing, jnp.sum(sizes), 0)[: len(rows)]


def _outer(rows: jax.Array, ys: jax.Array, sizes: jax.Array) -> jax.Array:
    """(r, a), (r, b) -> (n, a, b): of each group the sum over its rows of their outer products."""
    cut, exact = _cut(len(rows), sizes), wide_dtype(rows)
    x, y = (jnp.pad(part, ((0, cut.size), (0, 0))) for part in (rows, ys))
    meet = (((0,), (0,)), ((), ()))

    def block(i: jax.Array, sums: jax.Array) -> jax.Array:
        left, right = (jax.lax.dynamic_slice_in_dim(part, cut.first[i], cut.size) for part in (x, y))
        left = jnp.where((jnp.arange(cut.size) < cut.own[i])[:, None], left, 0)
        right = jnp.where((jnp.arange(cut.size) < cut.own[i])[:, None], right, 0)
        more = jax.lax.dot_general(left, right, meet, preferred_element_type=exact)
        return sums.at[cut.group[i]].add(more, mode="promise_in_bounds")  # or all sums were written anew

    begun = jnp.zeros((sizes.shape[0], rows.shape[1], ys.shape[1]), exact)
    return jax.lax.fori_loop(0, cut.total, block, begun).astype(rows.dtype)


def _product_by_blocks(rows: jax.Array, w: jax.Array, sizes: jax.Array, *, turned: bool) -> jax.Array:
    """`_product` where all of a batch must take as many steps."""
    return blocks(rows, jnp.swapaxes(w, 1, 2) if turned else w, sizes)


def _outer_by_blocks(rows: jax.Array, ys: jax.Array, sizes: jax.Array) -> jax.Array:
    """`_outer` where all of a batch must take as many steps: what `blocks` gives back to its matrices."""
    w = jax.ShapeDtypeStruct((sizes.shape[0], rows.shape[1], ys.shape[1]), rows.dtype)
    return jax.linear_transpose(lambda w: blocks(rows, w, sizes), w)(ys)[0]


@functools.cache
def _primitives() -> tuple[Primitive, Primitive]:
    """`_product` and `_outer` as primitives: each other's transposes."""
    product = primitive("grouped_product", _product, static=("turned",), of_batch=_product_by_blocks)
    outer = primitive("grouped_outer", _outer, static=(), of_batch=_outer_by_blocks)

    def of_product(ct: Any, rows: Any, w: Any, sizes: Any, *, turned: bool) -> list[Any]:
        if ad.is_undefined_primal(rows):
            return [product.bind(ct, w, sizes, turned=not turned), None, None]
        return [None, outer.bind(*((ct, rows) if turned else (rows, ct)), sizes), None]

    def of_outer(ct: Any, rows: Any, ys: Any, sizes: Any) -> list[Any]:
        if ad.is_undefined_primal(rows):
            return [product.bind(ys, ct, sizes, turned=True), None, None]
        return [None, product.bind(rows, ct, sizes, turned=False), None]

    for own, transpose in ((product, of_product), (outer, of_outer)):
        ad.primitive_jvps[own] = functools.partial(_bilinear, own)
        ad.primitive_transposes[own] = transpose
    return product, outer


def _bilinear(own: Primitive, primals: Any, tangents: Any, **how: Any) -> tuple[jax.Array, jax.Array]:
    """The derivative by the first two arguments: the sum of what either gives."""
    y = own.bind(*primals, **how)
    given = [i for i in (0, 1) if not isinstance(tangents[i], ad.Zero)]
    along = [own.bind(*(tangents[j] if j == i else primals[j] for j in range(3)), **how) for i in given]  # one at least
    return y, sum(along[1:], along[0])
