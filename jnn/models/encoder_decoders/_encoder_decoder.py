"""The transformer of 2017, an encoder and a decoder, and those that came of it: BART, Marian, T5, Whisper.

    encoder_decoder_spec(config) -> spec
    encoder_decoder(p, source, target, config, key=key) -> logits       all of the target at once, for training
    encode_source(p, source, config, key=key) -> rows                   what the decoder attends to

(One chunk of the target after another, with a cache: `_cached_encoder_decoder`. Published ones, and the names of their
weights: `_bart`, `_marian`, `_t5`, `_whisper`.)

The layers of either side are stacked and scanned. Norms, the read-out's own weights and the source's own embeddings are
used iff they are in p.

Laws: logits at t do not depend on the target after t; what stands past a source's length changes nothing; remat changes
no value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import VarianceScaling, glorot_uniform, normal
from jnn.layers import (
    attention_spec,
    dropout,
    embed_spec,
    feed_forward_spec,
    layer_norm,
    layer_norm_spec,
    length_mask,
    linear,
    linear_spec,
    rms_norm,
    rms_norm_spec,
    scan_layers,
    unembed,
)
from jnn.models._arrange import Norm, post_norm, pre_norm
from jnn.models._block_choices import scaled_attention, with_biases
from jnn.models._transformer_block import transformer_block
from jnn.models.encoder_decoders._config import EncoderDecoderConfig, Side
from jnn.models.encoder_decoders._source import embed_tokens, source_lengths, source_rows, source_spec
from jnn.param import Params, Spec, check_key, stack
from jnn.precision import add_bias
from jnn.remat import Remat

Layer = Callable[[Params, jax.Array, jax.Array | None, Any], jax.Array]


def encoder_decoder_spec(config: EncoderDecoderConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares an encoder-decoder transformer.

    Initial values are Glorot's, those of embeddings such that logits have a variance of 1.

    Args:
      config: its sizes.
      dtype: of all.

    Returns:
      {"embed", "source" (unless it shares that), "encoder" and "decoder": {"blocks" (with a leading axis "layers"), and
      "position", "embed_norm", "norm" where there are such}, "out" (of a read-out's own weights, or bias)}

    >>> config = EncoderDecoderConfig(vocab=65, layers=4, heads=8, embed=128, hidden=256)
    >>> encoder_decoder_spec(config)["decoder"]["blocks"]["cross"]["k"]["w"].shape
    (4, 128, 8, 16)
    """
    d, std = config.embed, config.embed**-0.5
    tokens = normal(std / config.out_scale)
    out = linear_spec(d, config.vocab, axes=("embed", "vocab"), bias=config.out_bias, init=normal(std), dtype=dtype)
    out = {name: out[name] for name in out if name != "w" or not config.tied}
    return {
        "embed": embed_spec(config.vocab, d, init=tokens, dtype=dtype),
        **source_spec(config, init=tokens, dtype=dtype),
        "encoder": _side_spec(config, config.encoder, cross=False, dtype=dtype),
        "decoder": _side_spec(config, config.decoder, cross=True, dtype=dtype),
        **({"out": out} if out else {}),
    }


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


def source_mask(lengths: jax.Array | None, rows: jax.Array, config: EncoderDecoderConfig) -> jax.Array | None:
    """Which of the encoder's rows (..., s, d) are the source's: (..., 1, s), None for all."""
    lengths = source_lengths(lengths, config)
    return None if lengths is None else length_mask(lengths, rows.shape[-2])


def ends_of(p: Params, side: str) -> Params:
    """What a side has beside its stack, whole on every device that uses it."""
    own = {name: p[side][name] for name in p[side] if name != "blocks"}
    return gather({**{name: p[name] for name in p if name not in ("encoder", "decoder")}, side: own})


def placed(p: Params, x: jax.Array, config: EncoderDecoderConfig, side: Side, at: jax.Array) -> jax.Array:
    """Embedded rows of a side, with what says that they stand at `at`."""
    x = side.positions.add(p, x, at)
    return _norm(config)(p["embed_norm"], x) if "embed_norm" in p else x


def last_norm(p: Params, x: jax.Array, config: EncoderDecoderConfig) -> jax.Array:
    """The norm at the end of a side, iff p has it."""
    return _norm(config)(p["norm"], x) if "norm" in p else x


def read_out(p: Params, x: jax.Array, config: EncoderDecoderConfig) -> jax.Array:
    """(..., d) -> (..., vocab): logits, from weights of their own iff p has them."""
    x, out = last_norm(p["decoder"], x, config), p.get("out", {})
    x = x if config.out_scale == 1 else x * jnp.asarray(config.out_scale, x.dtype)
    if "w" in out:
        return linear(out, x)
    logits = unembed(p["embed"], x)
    return add_bias(logits, out["b"]) if "b" in out else logits


def block_options(config: EncoderDecoderConfig, side: Side) -> dict[str, Any]:
    """What `transformer_block` and `cached_block` are given."""
    return {
        "norm": _norm(config),
        "activation": config.activation,
        "attend": scaled_attention(config.head_size(side), config.score_scale),
        "arrange": pre_norm if config.pre_norm else post_norm,
    }


def _norm(config: EncoderDecoderConfig) -> Norm:
    return partial(rms_norm if config.rms_norms else layer_norm, epsilon=config.epsilon)


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


def _side_spec(config: EncoderDecoderConfig, side: Side, *, cross: bool, dtype: DTypeLike) -> Spec:
    """Declares the encoder, or with cross-attention the decoder."""
    d = config.embed
    norm = rms_norm_spec(d, dtype=dtype) if config.rms_norms else layer_norm_spec(d, dtype=dtype)
    fed = feed_forward_spec(d, side.hidden, gate=config.gate, init=glorot_uniform, dtype=dtype)
    attending = _attention_spec(config, side, dtype)
    block = {
        **{"norm1": norm, "attention": attending},
        **({"norm_cross": norm, "cross": attending} if cross else {}),
        **{"norm2": norm, **with_biases(fed, config.bias)},
    }
    return {
        **side.positions.spec(d, side.heads, dtype),
        **({"embed_norm": norm} if config.embed_norms else {}),
        "blocks": stack(block, side.layers),
        **({"norm": norm} if config.pre_norm else {}),
    }


def _attention_spec(config: EncoderDecoderConfig, side: Side, dtype: DTypeLike) -> Spec:
    """Declares attention; where scores are scaled otherwise, queries such that they are as great at first."""
    size = config.head_size(side)
    spec = attention_spec(config.embed, side.heads, head=size, init=glorot_uniform, dtype=dtype)
    spec = with_biases(spec, config.bias)
    if config.score_scale is None:
        return spec
    init = VarianceScaling(1 / (config.score_scale**2 * size), "fan_avg", "uniform")
    return {**spec, "q": {**spec["q"], "w": dataclasses.replace(spec["q"]["w"], init=init)}}
