"""What stands before the blocks of either side and behind them, and what blocks are given.

placed(p, x, config, side, at) -> x         embedded rows know where they stand
last_norm, read_out                         the ends
block_options(config, side)                 of `transformer_block` and `cached_block`
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn.axes import gather
from jnn.layers import layer_norm, length_mask, linear, rms_norm, unembed
from jnn.models._arrange import Norm, post_norm, pre_norm
from jnn.models._block_choices import scaled_attention
from jnn.models.encoder_decoders._config import EncoderDecoderConfig, Side
from jnn.models.encoder_decoders._source import source_lengths
from jnn.param import Params
from jnn.precision import add_bias


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
