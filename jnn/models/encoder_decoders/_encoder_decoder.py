"""The transformer of 2017, an encoder and a decoder, and those that came of it: BART, Marian, T5, Whisper.

    encoder_decoder(p, source, target, config, key=key) -> logits       all of the target at once, for training
    encode_source(p, source, config, key=key) -> rows                   what the decoder attends to

(What p holds: `_declared`. One chunk of the target after another, with a cache: `_cached_encoder_decoder`. Published
ones, and the names of their weights: `_bart`, `_marian`, `_t5`, `_whisper`.)

The layers of either side are stacked and scanned. Norms, the read-out's own weights and the source's own embeddings are
used iff they are in p.

Laws: logits at t do not depend on the target after t; what stands past a source's length changes nothing; remat changes
no value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.axes import constrain
from jnn.layers import dropout, scan_layers
from jnn.models._transformer_block import transformer_block
from jnn.models.encoder_decoders._config import EncoderDecoderConfig, Side
from jnn.models.encoder_decoders._ends import block_options, ends_of, last_norm, placed, read_out, source_mask
from jnn.models.encoder_decoders._source import embed_tokens, source_rows
from jnn.param import Params, check_key
from jnn.remat import Remat

Layer = Callable[[Params, jax.Array, jax.Array | None, Any], jax.Array]


def encoder_decoder(
    p: Params,
    source: jax.Array,
    target: jax.Array,
    config: EncoderDecoderConfig,
    *,
    key: jax.Array | None,
    lengths: jax.Array | None = None,
    rate: float = 0.0,
    remat: Remat = "dots",
) -> jax.Array:
    """Encoder-decoder transformer: logits of the token after each token of the target, given the source.

    See "Attention Is All You Need", Vaswani et al., 2017.

    Args:
      p: as `encoder_decoder_spec` declares.
      source: (..., s), integers in 0..vocab-1, or of frames (..., s, bands), floating point.
      target: (..., t), integers in 0..vocab-1: the true tokens, one step late, behind one that starts.
      config: what p was declared by.
      key: noise for dropout, None for none.
      lengths: (...), integers: how many tokens, or frames, are each source's; what stands behind is padding.
      rate: of dropout, on embedded rows and on each residual branch.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., t, vocab), in the parameters' dtype.

    Raises:
      TypeError: target, or a source of tokens, are not integers.
      ValueError: tokens are out of range, more than learned positions, or shapes do not fit.

    >>> from jnn.models import encoder_decoder_spec
    >>> from jnn.param import init
    >>> config = EncoderDecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(encoder_decoder_spec(config), jax.random.key(0))
    >>> source, target = jnp.zeros((3, 7), jnp.int32), jnp.zeros((3, 10), jnp.int32)
    >>> encoder_decoder(p, source, target, config, key=None, lengths=jnp.array([7, 5, 2])).shape
    (3, 10, 65)
    """
    checks.params("encoder_decoder", p, "embed", "encoder", "decoder", may=("source", "out"))
    check_key("encoder_decoder", key, optional=True)
    checks.integers("encoder_decoder", target, ndim=1, name="target")
    own, others = (None, None) if key is None else jax.random.split(key)
    rows = encode_source(p, source, config, key=others, lengths=lengths, rate=rate, remat=remat)
    if rows.shape[:-2] != target.shape[:-1]:
        raise ValueError(
            f"encoder_decoder: expected a source for each target {checks.describe(target)}, found "
            f"{checks.describe(source)}."
        )
    ends, given = ends_of(p, "decoder"), (rows, source_mask(lengths, rows, config))
    options = block_options(config, config.decoder) | _biased(ends["decoder"], config.decoder, target.shape[-1], True)

    def block(p: Params, x: jax.Array, key: jax.Array | None, beside: Any) -> jax.Array:
        rows, mask = given if beside is None else beside
        return transformer_block(p, x, rows, key=key, rate=rate, kv_mask=mask, **options)

    x = embed_tokens(ends["embed"], target, config)
    x = placed(ends["decoder"], x, config, config.decoder, jnp.arange(target.shape[-1]))
    x = _layers(block, p, "decoder", x, given, key=own, rate=rate, remat=remat)
    return constrain(read_out(ends, x, config), "time", "vocab")


def encode_source(
    p: Params,
    source: jax.Array,
    config: EncoderDecoderConfig,
    *,
    key: jax.Array | None,
    lengths: jax.Array | None = None,
    rate: float = 0.0,
    remat: Remat = "dots",
) -> jax.Array:
    """Encoder of an encoder-decoder: rows of a source that have seen each other, for the decoder to attend to.

    Args:
      p: as `encoder_decoder_spec` declares.
      source, config, key, lengths, rate, remat: as in `encoder_decoder`.

    Returns:
      (..., s, d), in the parameters' dtype, or of frames (..., (s + 1) // 2, d); what stands past a length is no
      number that means anything.

    Raises:
      TypeError, ValueError: as `encoder_decoder`.

    >>> from jnn.models import encoder_decoder_spec
    >>> from jnn.param import init
    >>> config = EncoderDecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(encoder_decoder_spec(config), jax.random.key(0))
    >>> encode_source(p, jnp.zeros((3, 7), jnp.int32), config, key=None).shape
    (3, 7, 8)
    """
    checks.params("encode_source", p, "embed", "encoder", may=("source",))
    check_key("encode_source", key, optional=True)
    ends = ends_of(p, "encoder")
    x = source_rows(ends, source, config, lengths)
    mask, s = source_mask(lengths, x, config), x.shape[-2]
    options = block_options(config, config.encoder) | _biased(ends["encoder"], config.encoder, s, False)

    def block(p: Params, x: jax.Array, key: jax.Array | None, beside: Any) -> jax.Array:
        seen = mask if beside is None else beside
        return transformer_block(p, x, key=key, rate=rate, causal=False, mask=seen, **options)

    x = placed(ends["encoder"], x, config, config.encoder, jnp.arange(s))
    x = _layers(block, p, "encoder", x, mask, key=key, rate=rate, remat=remat)
    return last_norm(ends["encoder"], x, config)


def _biased(p: Params, side: Side, t: int, causal: bool) -> dict[str, jax.Array]:
    """The bias of a side's attention, made once for all its layers."""
    bias, at = side.positions.bias(p, causal=causal), jnp.arange(t)
    return {} if bias is None else {"bias": bias(at, at)}


def _layers(
    block: Layer,
    p: Params,
    side: str,
    x: jax.Array,
    given: Any,
    *,
    key: jax.Array | None,
    rate: float,
    remat: Remat,
) -> jax.Array:
    """The blocks of a side, behind dropout of embedded rows; what is `given` goes with rows of a batch."""
    first = None if key is None else jax.random.fold_in(key, 0)
    x, beside = constrain(dropout(x, rate, key=first), "time", "embed"), given if x.ndim > 2 else None
    path = f"{side}/blocks"
    return scan_layers(block, p[side]["blocks"], x, "time", "embed", path=path, key=key, remat=remat, beside=beside)
