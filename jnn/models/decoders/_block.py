"""One block of a decoder: what it is declared as, and what `transformer_block` is given of a config.

block_spec(config) -> spec
block_options(p, config, routings) -> {...}
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import normal
from jnn.layers import (
    Activation,
    Routing,
    attention_spec,
    feed_forward,
    feed_forward_spec,
    mixture_of_experts,
    mixture_of_experts_spec,
    rms_norm,
    rms_norm_spec,
    rotary,
    rotary_rates,
)
from jnn.models._arrange import pre_norm, sandwich_norm
from jnn.models._block_choices import scaled_attention, with_biases
from jnn.models.decoders._config import DecoderConfig
from jnn.param import Params, Spec


def block_spec(config: DecoderConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares one block, with "up", "gate" and "down", or "experts"."""
    small, last = normal(0.02), normal(0.02 / (2 * config.layers) ** 0.5)
    attending = attention_spec(
        config.embed,
        config.heads,
        kv_heads=config.kv_heads,
        head=config.head_size,
        qk_norm=config.qk_norm,
        init=small,
        out_init=last,
        dtype=dtype,
    )
    norm = rms_norm_spec(config.embed, zero_centered=config.zero_centered, dtype=dtype)
    return {
        **dict.fromkeys(("norm1", "norm2"), norm),
        **{name: norm for name in ("norm1_post", "norm2_post") if config.post_norms},
        "attention": with_biases(attending, config.bias),
        **_forward_spec(config, init=small, out_init=last, dtype=dtype),
    }


def block_options(p: Params, config: DecoderConfig, routings: list[Routing] | None = None) -> dict[str, Any]:
    """What `transformer_block` and `cached_block` are given in this family; experts add to the routings."""
    size, scaling = int(config.head_size * config.rope_part), config.rope_scaling
    rates = rotary_rates(size, base=config.rope_theta) if scaling is None else scaling.rates(size, config.rope_theta)
    return {
        "rotate": partial(
            rotary,
            rates=rates,
            interleaved=config.rope_interleaved,
            scale=1.0 if scaling is None else scaling.scale,
        ),
        **dict.fromkeys(("norm", "qk_norm"), partial(rms_norm, epsilon=config.epsilon)),
        "activation": config.activation,
        "attend": scaled_attention(config.head_size, config.score_scale, config.score_cap),
        "forward": feed_forward if config.experts is None else partial(_mixture, config, routings),
        "arrange": sandwich_norm if "norm1_post" in p else pre_norm,
    }


def _mixture(
    config: DecoderConfig, routings: list[Routing] | None, p: Params, x: jax.Array, *, activation: Activation
) -> jax.Array:
    """The experts of a block, for `transformer_block`."""
    y, routing = mixture_of_experts(
        p["experts"],
        x,
        top=config.experts_per_token,
        normalized=config.normalized_gates,
        activation=activation,
    )
    if routings is not None:
        routings.append(routing)
    return y


def _forward_spec(config: DecoderConfig, **how: Any) -> Spec:
    """The feed-forward network of a block, or its experts."""
    if config.experts is None:
        return with_biases(feed_forward_spec(config.embed, config.hidden, gate=True, **how), config.bias)
    sizes, shared = (config.embed, config.hidden, config.experts), config.shared_expert
    return {"experts": mixture_of_experts_spec(*sizes, gate=True, shared=shared, shared_gate=True, **how)}
