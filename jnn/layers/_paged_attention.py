"""Causal self-attention of many sequences whose keys and values share one pool of pages, as serving wants it.

    paged_cache(p, pages, page, table) -> cache              empty
    paged_attention(p, x, cache) -> (y, cache)               each row of x is the next chunk of its own sequence

Axes: `b` sequences (any leading axes), `t` rows of a chunk, `g` key-value heads, `k` head size.

Laws: cut each sequence into chunks anywhere, of any lengths: its rows are those of causal `attention` over the whole,
whichever pages hold it. A sequence that has no page for a row gets NaN for it; no other sequence notices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers._attention import Attend, QkNorm, Rotate, extras, project
from jnn.layers._attention_cache import Cache, as_kept, empty_rows, recalled
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._linear import linear
from jnn.layers._masks import check_window
from jnn.layers._norm import rms_norm
from jnn.layers._prefix import no_prefix
from jnn.param import Params


def paged_cache(p: Params, pages: int, page: int, table: jax.Array, *, dtype: DTypeLike | None = None) -> Cache:
    """Paged key-value cache: an empty pool of pages, and which of them are whose.

    Args:
      p: the attention's parameters.
      pages: how many there are, for all sequences together.
      page: how many positions one holds.
      table: (..., n), integers: the pages of each sequence in order, -1 for none yet. Give pages to a sequence that
        grows, or to a new one, by `cache | {"table": ..., "next": ...}`.
      dtype: of what is remembered; that of the key weights by default. Of int8 each row and head has a scale.

    Returns:
      {"k": (pages, page, kv_heads, head), "v": the same, "table": int32 (..., n), "next": int32 (...), the position of
      each sequence's next row}; of int8 "k_scales" and "v_scales" beside, (pages, page, kv_heads, 1).

    Raises:
      TypeError: the table is not of integers, or the dtype is one in which keys and values would be lost.
      ValueError: it names a page that there is not, or a size is none.

    >>> from jnn.layers import attention_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> paged_cache(p, 8, 16, jnp.array([[0, 3], [1, -1]]))["k"].shape
    (8, 16, 2, 2)
    """
    checks.size("paged_cache", "pages", pages)
    checks.size("paged_cache", "page", page)
    empty = empty_rows("paged_cache", p, (pages, page), dtype)
    table = checks.integers("paged_cache", table, ndim=1, name="table")
    checks.lengths("paged_cache", table + 1, pages, of="pages", what="pages, counted from 1, or 0 for none,")
    return empty | {"table": table.astype(jnp.int32), "next": jnp.zeros(table.shape[:-1], jnp.int32)}


def paged_attention(
    p: Params,
    x: jax.Array,
    cache: Cache,
    *,
    lengths: jax.Array | None = None,
    window: int | None = None,
    rotate: Rotate | None = None,
    qk_norm: QkNorm = rms_norm,
    attend: Attend = dot_product_attention,
) -> tuple[jax.Array, Cache]:
    """Paged attention: of the next chunk of each sequence to itself and to what the sequence's pages remember.

    See "Efficient Memory Management for Large Language Model Serving with PagedAttention", Kwon et al., 2023.

    Args:
      p: as `attention_spec` declares.
      x: (..., t, d), floating point: the next rows of each sequence.
      cache: from `paged_cache`, or from the call before.
      lengths: (...), integers: how many of the t rows are there, where chunks differ; all by default. What is behind
        is not remembered.
      window, rotate, qk_norm, attend: as in `attention`.

    Returns:
      (..., t, d) in x's dtype, and the cache with these rows added.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: shapes do not fit.

    >>> from jnn.layers import attention_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_spec(4, 2))
    >>> cache = paged_cache(p, 8, 16, jnp.array([[0, 3], [1, -1]]))
    >>> y, cache = paged_attention(p, jnp.ones((2, 5, 4)), cache, lengths=jnp.array([5, 2]))
    >>> y.shape, cache["next"].tolist()
    ((2, 5, 4), [5, 2])
    """
    no_prefix("paged_attention", p)
    q, k, v = project("paged_attention", p, x, x, qk_norm)
    _check_arguments(x, cache, lengths, window)
    (pages, page), t = cache["k"].shape[:2], x.shape[-2]
    order = jax.lax.broadcasted_iota(jnp.int32, (*x.shape[:-2], t), x.ndim - 2)
    here = order < (t if lengths is None else lengths[..., None])
    at = cache["next"][..., None] + order
    if rotate is not None:
        q, k = rotate(q, at), rotate(k, at)
    slots = _slots(cache, at)
    homeless = slots >= pages * page
    kept = as_kept(cache, k=k, v=v)
    pools = {name: _written(cache[name], jnp.where(here, slots, pages * page), new) for name, new in kept.items()}
    grown = cache["next"] + (t if lengths is None else lengths.astype(jnp.int32))
    own = jnp.repeat(cache["table"] >= 0, page, -1)  # the rest is others', or was
    filled = own & (jax.lax.broadcasted_iota(jnp.int32, own.shape, own.ndim - 1) < grown[..., None])

    def read(name: str) -> jax.Array:
        parts = {part: pool[jnp.maximum(cache["table"], 0)] for part, pool in pools.items() if part.startswith(name)}
        rows = {part: pool.reshape(*own.shape, *pool.shape[-2:]) for part, pool in parts.items()}
        return jnp.where(filled[..., None, None], recalled(rows, name, q.dtype), 0)

    ahead = at[..., None] - jax.lax.broadcasted_iota(jnp.int32, (*at.shape, own.shape[-1]), at.ndim)
    mask = (ahead >= 0) & own[..., None, :]
    mask = mask if window is None else mask & (ahead < window)
    y = linear(p["o"], attend(q, read("k"), read("v"), mask, **extras(p, None)), in_axes=2)
    return jnp.where((here & homeless)[..., None], jnp.nan, y), cache | pools | {"next": grown}


def _check_arguments(x: jax.Array, cache: Cache, lengths: jax.Array | None, window: int | None) -> None:
    checks.params("paged_attention", cache, "k", "v", "table", "next", what="cache")
    check_window("paged_attention", window)
    if cache["next"].shape != x.shape[:-2]:
        raise ValueError(
            f"paged_attention: expected the table of a cache with leading axes {x.shape[:-2]} for input "
            f"{checks.describe(x)}, found {cache['next'].shape}."
        )
    if lengths is not None:
        checks.integers("paged_attention", lengths, name="lengths")
        checks.same_shape("paged_attention", lengths=lengths, next=cache["next"])


def _slots(cache: Cache, at: jax.Array) -> jax.Array:
    """The row of the pool that holds position `at` of each sequence; the one behind the last where no page does."""
    (pages, page), n = cache["k"].shape[:2], cache["table"].shape[-1]
    whose = jnp.take_along_axis(cache["table"], jnp.minimum(at // page, n - 1), -1)
    return jnp.where((at < n * page) & (whose >= 0), whose * page + at % page, pages * page)


def _written(pool: jax.Array, slots: jax.Array, new: jax.Array) -> jax.Array:
    """The pool (pages, page, ...) with a new row in each of these slots; one behind the last slot is nowhere."""
    flat, rows, slots = pool.reshape(-1, *pool.shape[2:]), new.reshape(-1, *pool.shape[2:]), slots.reshape(-1)
    if slots.shape == (1,):
        # what XLA makes of a single row's scatter copies the pool, so that there is one for nowhere
        slots, rows = jnp.append(slots, flat.shape[0]), jnp.repeat(rows, 2, 0)
    return flat.at[slots].set(rows, mode="drop").reshape(pool.shape)
