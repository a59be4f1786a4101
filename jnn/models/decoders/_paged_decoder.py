"""A decoder of Llama's family a chunk at a time, each sequence of a batch at a position of its own.

    paged_decoder_cache(p, config, pages, page, table) -> cache                         empty
    paged_decoder(p, tokens, cache, config, lengths=lengths) -> (logits, cache)         each row's next chunk
    decoder_model(config, dtype=dtype) -> model                                         for `jnn.generate`

Law: `paged_decoder` over any cuts, other ones in each row, equals `decoder` over the whole rows.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.layers import Cache
from jnn.models._paged_transformer import flat_pools, grown_cache, in_layers, of_layer
from jnn.models._transformer_block import cached_block
from jnn.models.decoders._block import block_options
from jnn.models.decoders._cached_decoder import cached_decoder, cached_rows, decoder_cache
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._ends import embed_tokens, logits_of, read_out
from jnn.models.decoders._groups import layer_at
from jnn.param import Params


def paged_decoder_cache(
    p: Params, config: DecoderConfig, pages: int, page: int, table: jax.Array, *, dtype: DTypeLike | None = None
) -> Cache:
    """Paged key-value cache of a decoder, empty: one pool of pages for each layer, and one table for all.

    A layer with a window keeps all that a sequence's pages hold, and looks no further back than the window.

    Args:
      p: as `decoder_spec` declares.
      config: what p was declared by.
      pages, page, table, dtype: as in `jnn.layers.paged_cache`: a page is of every layer's pool.

    Returns:
      {"k": (layers, pages, page, kv_heads, head), "v": the same, "table": int32 (..., n), "next": int32 (...)}

    Raises:
      TypeError, ValueError: as `jnn.layers.paged_cache`.

    >>> from jnn.models import decoder_spec
    >>> from jnn.param import init
    >>> config = DecoderConfig(vocab=65, layers=4, heads=2, embed=8, hidden=16, windows=(6, None))
    >>> p = init(decoder_spec(config), jax.random.key(0))
    >>> paged_decoder_cache(p, config, 8, 16, jnp.array([[0, 3], [1, -1]]))["k"].shape
    (4, 8, 16, 2, 4)
    """
    checks.params("paged_decoder_cache", p, "embed", "blocks", "norm", may=("out",))
    return in_layers(p["blocks"]["attention"], pages, page, table, dtype=dtype)


def paged_decoder(
    p: Params, tokens: jax.Array, cache: Cache, config: DecoderConfig, *, lengths: jax.Array | None = None
) -> tuple[jax.Array, Cache]:
    """Paged decoder: logits of the token after each token of the next chunk of each sequence.

    Args:
      p: as `decoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `paged_decoder_cache`, or from the call before.
      config: what p was declared by.
      lengths: (...), integers: how many of the t tokens are there, where chunks differ; all by default.

    Returns:
      (..., t, vocab), and the cache with these tokens added. Of tokens that have no page NaN, of those behind `lengths`
      nothing of meaning.

    Raises:
      TypeError, ValueError: as `decoder` and `jnn.layers.paged_attention`.

    >>> from jnn.models import decoder_spec
    >>> from jnn.param import init
    >>> config = DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(decoder_spec(config), jax.random.key(0))
    >>> cache = paged_decoder_cache(p, config, 8, 16, jnp.array([[0, 3], [1, -1]]))
    >>> prompts = jnp.array([[1, 2, 3], [4, 0, 0]])
    >>> logits, cache = paged_decoder(p, prompts, cache, config, lengths=jnp.array([3, 1]))
    >>> logits.shape, cache["next"].tolist()
    ((2, 3, 65), [3, 1])
    """
    checks.params("paged_decoder", p, "embed", "blocks", "norm", may=("out",))
    checks.integers("paged_decoder", tokens, ndim=1, name="tokens")

    def group(carry: tuple[jax.Array, Cache], first: jax.Array) -> tuple[tuple[jax.Array, Cache], None]:
        x, pools = carry
        for i, window in enumerate(config.windows):
            own, kept = layer_at(p["blocks"], first + i), of_layer(pools, cache, first + i)
            x, grown = cached_block(own, x, kept, lengths=lengths, window=window, **block_options(own, config))
            pools = {name: grown[name] for name in pools}
        return (x, pools), None

    begun = embed_tokens(p, tokens, config), flat_pools(cache)
    (x, pools), _ = jax.lax.scan(group, begun, jnp.arange(0, config.layers, len(config.windows)))
    return read_out(p, x, config), grown_cache(cache, pools, tokens, lengths)


def _vocab(p: Params, config: DecoderConfig) -> int:
    """How many tokens there are: what generation asks first, and so what checks params for all of it."""
    checks.params("decoder", p, "embed", "blocks", "norm", *(() if config.tied else ("out",)))
    return config.vocab


@functools.cache  # equal configs are one model, and so one compiled program
def decoder_model(config: DecoderConfig, *, dtype: DTypeLike | None = None) -> CachedModel:
    """Decoder, as `jnn.generate` takes it.

    Args:
      config: what its parameters are declared by.
      dtype: of what its caches remember, as in `decoder_cache`: that of the weights, or int8 with scales.

    >>> config = DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> decoder_model(config) == decoder_model(DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16))
    True
    """
    return CachedModel(
        cache=lambda p, length, leading=(): decoder_cache(p, config, length, leading=leading, dtype=dtype),
        chunk=lambda p, tokens, cache: cached_decoder(p, tokens, cache, config),
        vocab=lambda p: _vocab(p, config),
        rows=lambda p, tokens, cache: cached_rows(p, tokens, cache, config),
        read_out=lambda p, rows: logits_of(p, rows, config),
        paged_cache=lambda p, pages, page, table: paged_decoder_cache(p, config, pages, page, table, dtype=dtype),
        paged_chunk=lambda p, tokens, cache, lengths=None: paged_decoder(p, tokens, cache, config, lengths=lengths),
    )
