"""Attention in all its forms, state spaces, and other layers over a sequence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp

from jnn import layers
from jnn.laws import Block
from jnn.param import Spec
from tests.table.rows import floats


def attending(name: str, spec: Spec, how: Callable[[Any], dict[str, Any]]) -> Block:
    """Causal self-attention and its cache; `how` makes options of parameters."""
    return Block(
        name,
        spec,
        lambda p, x, key: layers.attention(p, x, causal=True, **how(p)),
        floats(6, 8),
        causal=True,
        chunk=lambda p, x, cache: layers.cached_attention(p, x, cache, **how(p)),
        begin=lambda p, length, leading: layers.attention_cache(p, length, leading=leading),
    )


capped = partial(layers.dot_product_attention, cap=5.0)
in_chunks = partial(layers.chunked_attention, cap=5.0, chunk=4)

BLOCKS = [
    attending(
        "attention-shaped",
        layers.attention_spec(8, 4, kv_heads=2, qk_norm=True, sinks=True) | {"bias": layers.relative_bias_spec(4, 8)},
        lambda p: {"attend": capped, "bias": partial(layers.relative_bias, p["bias"], causal=True, furthest=5)},
    ),
    attending(
        "chunked_attention-shaped",
        layers.attention_spec(8, 4, kv_heads=2, sinks=True) | {"bias": layers.relative_bias_spec(4, 8)},
        lambda p: {"attend": in_chunks, "bias": partial(layers.relative_bias, p["bias"], causal=True, furthest=5)},
    ),
    Block(
        "chunked_attention-dropout",
        layers.attention_spec(8, 2),
        lambda p, x, key: layers.attention(
            p, x, window=3, bias=layers.alibi(2), attend=partial(layers.chunked_attention, rate=0.3, key=key, chunk=2)
        ),
        floats(5, 8),
        noisy=True,
    ),
    Block(
        "rotary-part",
        {},
        lambda p, x, key: layers.rotary(
            x, jnp.arange(4), rates=layers.llama3_rates(4, factor=2.0, context=16), interleaved=True
        ),
        floats(4, 2, 6),
    ),
    Block(
        "attention-dropout",
        layers.attention_spec(8, 2),
        lambda p, x, key: layers.attention(p, x, attend=partial(layers.dot_product_attention, rate=0.3, key=key)),
        floats(5, 8),
        noisy=True,
    ),
]
