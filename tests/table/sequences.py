"""Attention in all its forms, state spaces, and other layers over a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn import layers, models
from jnn.laws import Block
from jnn.param import Param, Spec
from tests.table.rows import floats, weight


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


def block(name: str, spec: Spec, **how: Any) -> Block:
    """A transformer block and its cache; a block with cross-attention reads the same rows at any time."""
    rows = jnp.cos(jnp.arange(24.0)).reshape(3, 8)

    def beside(p: Any, x: jax.Array) -> jax.Array | None:
        if "cross" not in p or not isinstance(x, jax.Array):  # what is no array, the block refuses
            return None
        return jnp.broadcast_to(rows.astype(x.dtype), (*x.shape[:-2], 3, 8))

    def chunk(p: Any, x: jax.Array, cache: Any) -> Any:
        kv = beside(p, x)
        kept = None if kv is None else layers.cross_cache(p["cross"], kv)
        return models.cached_block(p, x, cache, kept, **how)

    return Block(
        name,
        spec,
        lambda p, x, key: models.transformer_block(p, x, beside(p, x), key=key, rate=0.2, **how),
        floats(5, 8),
        noisy=True,
        causal=True,
        chunk=chunk,
        begin=lambda p, length, leading: layers.attention_cache(p["attention"], length, leading=leading),
    )


def paged(p: Any, length: int, leading: tuple[int, ...]) -> Any:
    """Two positions a page, and the pages of each row far apart."""
    rows, each = math.prod(leading), -(-length // 2)
    table = jnp.arange(each * rows).reshape(each, rows).T[:, ::-1].reshape(*leading, each)
    return layers.paged_cache(p, each * rows, 2, table)


def mixing(name: str, spec: Spec, layer: Any, causal: bool = True, **how: Any) -> Block:
    """A layer that carries a state; this is in float32 whatever x is, and law 7 is about the answer.

    A Fourier transform rounds the future into the past: by gradient that is not nothing, and has a test of its own.
    """
    return Block(
        name,
        spec,
        lambda p, x, key: layer(p, x, **how)[0],
        floats(6, 4),
        causal=causal,
        chunk=lambda p, x, carry: layer(p, x, carry, **how),
    )


def kernel_recurrence(p: Any, x: jax.Array, state: Any) -> Any:
    """Causal kernel attention of the next chunk, by the parameters of attention."""
    q, k, v = (layers.linear(p[name], x) for name in "qkv")
    y, state = layers.recurrent_kernel_attention(q, k, v, state)
    return layers.linear(p["o"], y, in_axes=2), state


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
        "relative_attention",
        layers.attention_spec(8, 2) | {"relative": layers.relative_attention_spec(2, 4, 3)},
        lambda p, x, key: layers.attention(p, x, causal=True, attend=partial(layers.relative_attention, p["relative"])),
        floats(5, 8),
        causal=True,
    ),
    mixing("mamba2", layers.mamba2_spec(4, 4, head=3, states=2, groups=2), layers.mamba2, chunk=4),
    mixing("gated_delta_net", layers.gated_delta_net_spec(4, 2, head=3, states=2), layers.gated_delta_net, chunk=4),
    mixing("s4d", layers.s4d_spec(4, states=3), layers.s4d, causal=False),
    mixing(
        "long_conv",
        {"w": Param((8, 4), jax.nn.initializers.normal(), ("taps", "embed"))},
        lambda p, x, past=None: layers.long_conv(weight(p), x, past),
        causal=False,
    ),
    mixing(
        "wkv",
        {"w": Param((2, 4), jax.nn.initializers.uniform(1.0), ("terms", "embed"))},
        lambda p, x, carry=None: layers.wkv(x, x, *weight(p), carry),
    ),
    Block(
        "experts-shared-capacity",
        layers.mixture_of_experts_spec(6, 8, 4, gate=True, shared=5),
        lambda p, x, key: layers.routed_experts(p, x, layers.within_capacity(layers.route(p, x, top=2), 2)),
        floats(5, 6),
    ),
    Block(
        "expert_choice",
        layers.mixture_of_experts_spec(6, 8, 4),
        lambda p, x, key: layers.expert_choice(p, x, capacity=2)[0],
        floats(5, 6),
        most=4,  # among more rows there are two tokens between which bfloat16 does not choose as float32
    ),
    Block(
        "kernel_attention",
        layers.attention_spec(8, 4, kv_heads=2),
        lambda p, x, key: layers.attention(p, x, causal=True, attend=layers.kernel_attention),
        floats(5, 8),
        causal=True,
        chunk=kernel_recurrence,
    ),
    Block(
        "paged_attention",
        layers.attention_spec(8, 4, kv_heads=2),
        lambda p, x, key: layers.attention(p, x, causal=True, window=4, rotate=layers.rotary),
        floats(5, 8),
        causal=True,
        chunk=lambda p, x, cache: layers.paged_attention(p, x, cache, window=4, rotate=layers.rotary),
        begin=paged,
    ),
    Block(
        "latent_attention",
        layers.latent_attention_spec(8, 2, latent=6, head=4, turned=2, value=3, q_latent=5),
        lambda p, x, key: layers.latent_attention(p, x, causal=True),
        floats(5, 8),
        causal=True,
        chunk=layers.cached_latent_attention,
        begin=lambda p, length, leading: layers.latent_cache(p, length, leading=leading),
    ),
    block(
        "block-decoder-gated",
        models.transformer_block_spec(8, 2, 12, d_cross=8, gate=True, bias=False, qk_norm=True),
        norm=layers.rms_norm,
        activation=jax.nn.silu,
        rotate=layers.rotary,
    ),
    block("block-post_norm", models.transformer_block_spec(8, 2, 12), arrange=models.post_norm, window=3),
    block(
        "block-parallel",
        models.transformer_block_spec(8, 2, 12, parallel=True),
        arrange=models.parallel,
        bias=layers.alibi(2),
    ),
    Block(
        "feed_forward",
        layers.feed_forward_spec(4, 6, gate=True),
        lambda p, x, key: layers.feed_forward(p, x),
        floats(4),
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
