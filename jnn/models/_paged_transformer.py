"""The transformer a chunk at a time, each sequence of a batch at a position of its own: keys and values are in pages.

    paged_transformer_cache(p, pages, page, table) -> cache                       empty
    paged_transformer(p, tokens, cache, lengths=lengths) -> (logits, cache)       each row's next chunk

Law: `paged_transformer` over any cuts, other ones in each row, equals `transformer` over the whole rows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.layers import Cache, layer_norm, paged_cache, unembed, weight_shape
from jnn.models._cached_transformer import cached_rows, cached_transformer, transformer_cache
from jnn.models._transformer import embed_tokens, rotation
from jnn.models._transformer_block import cached_block
from jnn.param import Params


def paged_transformer_cache(p: Params, pages: int, page: int, table: jax.Array) -> Cache:
    """Paged key-value cache of a transformer, empty: one pool of pages for each layer, and one table for all.

    Args:
      p: as `transformer_spec` declares.
      pages, page, table: as in `jnn.layers.paged_cache`: a page is of every layer's pool.

    Returns:
      {"k": (layers, pages, page, kv_heads, head), "v": the same, "table": int32 (..., n), "next": int32 (...)}

    Raises:
      TypeError, ValueError: as `jnn.layers.paged_cache`.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=3, heads=2, embed=8), jax.random.key(0))
    >>> paged_transformer_cache(p, 8, 16, jnp.array([[0, 3], [1, -1]]))["k"].shape
    (3, 8, 16, 2, 4)
    """
    return in_layers(p["blocks"]["attention"], pages, page, table)


def in_layers(attention: Params, pages: int, page: int, table: jax.Array, *, dtype: DTypeLike | None = None) -> Cache:
    """`paged_cache` of stacked layers: pools (layers, ...), and the table and positions that all of them share."""
    one = paged_cache(jax.tree.map(lambda x: x[0], attention), pages, page, table, dtype=dtype)
    layers = weight_shape(attention["k"]["w"])[0]
    return one | {name: jnp.zeros((layers, *pool.shape), pool.dtype) for name, pool in pools_of(one).items()}


def pools_of(cache: Cache) -> Cache:
    """What a paged cache remembers, without whose it is."""
    return {name: cache[name] for name in cache if name not in ("table", "next")}


def paged_transformer(
    p: Params, tokens: jax.Array, cache: Cache, *, lengths: jax.Array | None = None
) -> tuple[jax.Array, Cache]:
    """Paged transformer: logits of the token after each token of the next chunk of each sequence.

    Args:
      p: as `transformer_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `paged_transformer_cache`, or from the call before.
      lengths: (...), integers: how many of the t tokens are there, where chunks differ; all by default.

    Returns:
      (..., t, vocab), and the cache with these tokens added. Of tokens that have no page, or no learned position, NaN;
      of those behind `lengths`, nothing of meaning.

    Raises:
      TypeError, ValueError: as `transformer` and `jnn.layers.paged_attention`.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=3, heads=2, embed=8), jax.random.key(0))
    >>> cache = paged_transformer_cache(p, 8, 16, jnp.array([[0, 3], [1, -1]]))
    >>> logits, cache = paged_transformer(p, jnp.array([[1, 2, 3], [4, 0, 0]]), cache, lengths=jnp.array([3, 1]))
    >>> logits.shape, cache["next"].tolist()
    ((2, 3, 65), [3, 1])
    """
    checks.params("paged_transformer", p, "embed", "blocks", "norm", may=("position",))
    checks.integers("paged_transformer", tokens, ndim=1, name="tokens")
    if cache["next"].shape != tokens.shape[:-1]:
        raise ValueError(
            f"paged_transformer: expected the table of a cache with leading axes {tokens.shape[:-1]} for tokens "
            f"{checks.describe(tokens)}, found {cache['next'].shape}."
        )
    order = jax.lax.broadcasted_iota(jnp.int32, tokens.shape, tokens.ndim - 1)
    x = embed_tokens(p, tokens, cache["next"][..., None] + order)

    def layer(carry: tuple[jax.Array, Cache], slice_: tuple[Params, jax.Array]) -> tuple[tuple[jax.Array, Cache], None]:
        x, kept = carry[0], of_layer(carry[1], cache, slice_[1])
        x, grown = cached_block(slice_[0], x, kept, lengths=lengths, rotate=rotation(p))
        return (x, {name: grown[name] for name in carry[1]}), None

    layers = jnp.arange(cache["k"].shape[0])
    (x, pools), _ = jax.lax.scan(layer, (x, flat_pools(cache)), (p["blocks"], layers))
    return unembed(p["embed"], layer_norm(p["norm"], x)), grown_cache(cache, pools, tokens, lengths)


def flat_pools(cache: Cache) -> Cache:
    """The pools of all layers as one, which a loop over layers writes in place: slices of it would be copied."""
    return {name: pool.reshape(-1, *pool.shape[2:]) for name, pool in pools_of(cache).items()}


def of_layer(pools: Cache, cache: Cache, layer: jax.Array) -> Cache:
    """One layer's cache: its pages are those of the table, behind the pages of the layers before it."""
    table = jnp.where(cache["table"] < 0, -1, cache["table"] + layer * cache["k"].shape[1])
    return pools | {"table": table, "next": cache["next"]}


def grown_cache(cache: Cache, pools: Cache, tokens: jax.Array, lengths: jax.Array | None) -> Cache:
    """The cache with the flat pools of all layers, once each has read the first `lengths` tokens."""
    own = {name: pools[name].reshape(cache[name].shape) for name in pools}
    more = tokens.shape[-1] if lengths is None else lengths.astype(jnp.int32)
    return cache | own | {"next": cache["next"] + more}


def _vocab(p: Params) -> int:
    """How many tokens the table has: what generation asks first, and so what checks params for all of it."""
    checks.params("transformer", p, "embed", "blocks", "norm", may=("position",))
    checks.params("transformer", p["embed"], "table", what="params['embed']", adapted=True)
    return weight_shape(p["embed"]["table"])[0]


def _longest(p: Params) -> int | None:
    return p["position"]["table"].shape[0] if "position" in p else None


TRANSFORMER = CachedModel(
    cache=transformer_cache,
    chunk=cached_transformer,
    vocab=_vocab,
    longest=_longest,
    rows=cached_rows,
    read_out=lambda p, rows: unembed(p["embed"], rows),
    paged_cache=paged_transformer_cache,
    paged_chunk=paged_transformer,
)
