"""What an encoder reads: tokens, of the target's vocabulary or of one of their own, or frames of sound.

source_spec(config, ...) -> {"source": ...}, or {} where source and target share embeddings
source_rows(p, source, config, lengths) -> rows
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init
from jnn.layers import conv, conv_spec, embed, embed_spec, length_mask
from jnn.models._config_json import exact_gelu
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.param import Params, Spec

CONVOLUTIONS = {"conv1": 1, "conv2": 2}  # and their strides


def source_spec(config: EncoderDecoderConfig, *, init: Init, dtype: DTypeLike) -> Spec:
    """What the encoder has for itself in front of its blocks."""
    d = config.embed
    if config.bands is not None:
        axes = ("bands", "embed"), ("channels_in", "embed")
        maps = zip(CONVOLUTIONS, (config.bands, d), axes, strict=True)
        return {"source": {name: conv_spec(c_in, d, (3,), axes=own, dtype=dtype) for name, c_in, own in maps}}
    if config.source_vocab is not None:
        return {"source": embed_spec(config.source_vocab, d, init=init, dtype=dtype)}
    return {}


def source_rows(p: Params, source: jax.Array, config: EncoderDecoderConfig, lengths: jax.Array | None) -> jax.Array:
    """Rows (..., s, d) that a source is embedded as."""
    if config.bands is None:
        checks.integers("encode_source", source, ndim=1, name="source")
        check_lengths(lengths, source.shape[:-1], source.shape[-1])
        return embed_tokens(p["source"] if "source" in p else p["embed"], source, config)
    checks.floats("encode_source", source, ndim=2)
    check_lengths(lengths, source.shape[:-2], source.shape[-2])
    return _rows_of_frames(p["source"], source, lengths)


def source_lengths(lengths: jax.Array | None, config: EncoderDecoderConfig) -> jax.Array | None:
    """How many rows the encoder makes of the first `lengths` tokens or frames."""
    return lengths if lengths is None or config.bands is None else (lengths + 1) // 2


def embed_tokens(p: Params, tokens: jax.Array, config: EncoderDecoderConfig) -> jax.Array:
    """(..., t) -> (..., t, d): the tokens' vectors, scaled."""
    x = embed(p, tokens)
    scale = config.embed**0.5 if config.embed_scale is None else config.embed_scale
    return x if scale == 1 else x * jnp.asarray(scale, x.dtype)


def check_lengths(lengths: jax.Array | None, leading: tuple[int, ...], longest: int) -> None:
    """Raises unless there is a length for each source, and none is longer than these are."""
    if lengths is None:
        return
    checks.integers("encode_source", lengths, name="lengths")
    if lengths.shape != leading:
        raise ValueError(
            f"encode_source: expected lengths {leading}, one for each source, found {checks.describe(lengths)}."
        )
    checks.lengths("encode_source", lengths, longest, of="rows of a source")


def _rows_of_frames(p: Params, x: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """(..., s, bands) -> (..., (s + 1) // 2, d); what stands past a length is silence, to either convolution."""
    for name, stride in CONVOLUTIONS.items():
        if lengths is not None:
            x = jnp.where(jnp.swapaxes(length_mask(lengths, x.shape[-2]), -1, -2), x, 0)
        x = exact_gelu(conv(p[name], x, stride=stride, padding=1))
    return x
