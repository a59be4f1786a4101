"""The declaration of an encoder-decoder.

encoder_decoder_spec(config) -> spec
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import glorot_uniform, normal
from jnn.layers import attention_spec, embed_spec, feed_forward_spec, layer_norm_spec, linear_spec, rms_norm_spec
from jnn.models._block_choices import with_biases
from jnn.models.encoder_decoders._config import EncoderDecoderConfig, Side
from jnn.models.encoder_decoders._source import source_spec
from jnn.param import Spec, stack


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
    init = normal(1 / (config.score_scale * (config.embed * size) ** 0.5))
    return {**spec, "q": {**spec["q"], "w": dataclasses.replace(spec["q"]["w"], init=init)}}
