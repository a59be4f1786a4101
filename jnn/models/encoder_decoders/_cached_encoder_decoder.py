"""An encoder-decoder a chunk of the target at a time.

    encoder_decoder_cache(p, source, config, length) -> cache                   the source is read, the target empty
    cached_encoder_decoder(p, tokens, cache, config) -> (logits, cache)         the next chunk of the target

Law: `cached_encoder_decoder` over any cut equals `encoder_decoder` over the whole.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers import Cache, attention_cache, cross_cache, length_mask
from jnn.models._transformer_block import cached_block
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._encoder_decoder import encode_source
from jnn.models.encoder_decoders._ends import block_options, placed, read_out
from jnn.models.encoder_decoders._source import embed_tokens, source_lengths
from jnn.param import Params

EncoderDecoderCache = dict[str, Any]


def encoder_decoder_cache(
    p: Params, source: jax.Array, config: EncoderDecoderConfig, length: int, *, lengths: jax.Array | None = None
) -> EncoderDecoderCache:
    """Cache of an encoder-decoder: keys and values of a source, made once, and room for those of a target.

    Args:
      p: as `encoder_decoder_spec` declares.
      source, config, lengths: as in `encoder_decoder`.
      length: of the longest target.

    Returns:
      {"self": as `attention_cache`, "cross": as `cross_cache`, "lengths": of the source, iff there are any}, for each
      layer of the decoder, stacked: (layers, ...) each.

    Raises:
      TypeError, ValueError: as `encoder_decoder`.

    >>> from jnn.models import encoder_decoder_spec
    >>> from jnn.param import init
    >>> config = EncoderDecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(encoder_decoder_spec(config), jax.random.key(0))
    >>> cache = encoder_decoder_cache(p, jnp.zeros((5, 7), jnp.int32), config, 64)
    >>> cache["self"]["k"].shape, cache["cross"]["k"].shape
    ((2, 5, 64, 2, 4), (2, 5, 7, 2, 4))
    """
    rows, blocks = encode_source(p, source, config, key=None, lengths=lengths), p["decoder"]["blocks"]
    leading, layers = rows.shape[:-2], config.decoder.layers
    cache = {
        "self": jax.vmap(lambda p: attention_cache(p, length, leading=leading))(blocks["attention"]),
        "cross": jax.vmap(lambda p: cross_cache(p, rows))(blocks["cross"]),
    }
    read = source_lengths(lengths, config)
    return cache if read is None else cache | {"lengths": jnp.broadcast_to(read, (layers, *leading))}


def cached_encoder_decoder(
    p: Params, tokens: jax.Array, cache: EncoderDecoderCache, config: EncoderDecoderConfig
) -> tuple[jax.Array, EncoderDecoderCache]:
    """Cached encoder-decoder: logits of the token after each token of the next chunk of a target.

    Args:
      p: as `encoder_decoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `encoder_decoder_cache`, or from the call before.
      config: what p was declared by.

    Returns:
      (..., t, vocab), and the cache with these tokens added. Under `jit`, NaN once the cache or learned positions are
      exceeded.

    Raises:
      TypeError, ValueError: as `encoder_decoder`.

    >>> from jnn.models import encoder_decoder_spec
    >>> from jnn.param import init
    >>> config = EncoderDecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(encoder_decoder_spec(config), jax.random.key(0))
    >>> cache = encoder_decoder_cache(p, jnp.array([5, 6, 7]), config, 64)
    >>> logits, cache = cached_encoder_decoder(p, jnp.array([1, 2]), cache, config)
    >>> logits.shape, cache["self"]["next"].tolist()
    ((2, 65), [2, 2])
    """
    checks.params("cached_encoder_decoder", p, "embed", "decoder", may=("out",))
    checks.params("cached_encoder_decoder", cache, "self", "cross", may=("lengths",), what="cache")
    checks.integers("cached_encoder_decoder", tokens, ndim=1, name="tokens")
    ends, at = p["decoder"], cache["self"]["next"][0] + jnp.arange(tokens.shape[-1])
    bias, s = config.decoder.positions.bias(ends, causal=True), cache["cross"]["k"].shape[-3]

    def layer(carry: tuple[jax.Array, Cache], slices: tuple[Params, Any, Any, Any]) -> tuple[Any, None]:
        p, number, cross, lengths = slices
        seen = None if lengths is None else length_mask(lengths, s)
        how = block_options(config, config.decoder)
        x, grown = cached_block(p, carry[0], carry[1] | {"layer": number}, cross, kv_mask=seen, bias=bias, **how)
        return (x, {name: grown[name] for name in carry[1]}), None

    x = placed(ends, embed_tokens(p["embed"], tokens, config), config, config.decoder, at)
    layers = jnp.arange(len(cache["self"]["next"]))
    stacks = ends["blocks"], layers, cache["cross"], cache.get("lengths")
    (x, own), _ = jax.lax.scan(layer, (x, cache["self"]), stacks)
    return read_out(p, x, config), {**cache, "self": own}
