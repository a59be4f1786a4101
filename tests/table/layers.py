"""Activations with a parameter or noise, and layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn import activations, layers
from jnn.laws import Block
from jnn.param import Spec
from tests.table.rows import floats, integers


def remembered(p: dict, x: jax.Array, key: Any) -> tuple[jax.Array, ...]:
    """The output of cached attention and what it remembers; "next" is one number for the whole batch."""
    cache = layers.attention_cache(p, 7, leading=x.shape[:-2])
    y, cache = layers.cached_attention(p, x, cache, rotate=layers.rotary)
    return y, cache["k"], cache["v"]


def attending(name: str, spec: Spec, **how: Any) -> Block:
    """Causal self-attention and its cache."""
    return Block(
        name,
        spec,
        lambda p, x, key: layers.attention(p, x, causal=True, **how),
        floats(6, 8),
        causal=True,
        chunk=lambda p, x, cache: layers.cached_attention(p, x, cache, **how),
        begin=lambda p, length, leading: layers.attention_cache(p, length, leading=leading),
    )


def recurring(name: str, spec: Spec, cell: Any) -> Block:
    """A cell and its carry."""
    return Block(
        name,
        spec,
        lambda p, x, key: layers.rnn(cell, p, x),
        floats(6, 3),
        causal=True,
        chunk=lambda p, x, carry: layers.rnn(cell, p, x, carry=carry),
    )


BLOCKS = [
    # activations with a parameter or with noise
    Block("prelu", activations.prelu_spec(6), lambda p, x, key: activations.prelu(p, x), floats(6)),
    Block("rrelu", {}, lambda p, x, key: activations.rrelu(x, key=key), floats(6), noisy=True),
    Block("gumbel_softmax", {}, lambda p, x, key: activations.gumbel_softmax(x, key=key), floats(6), noisy=True),
    Block("sparsemax", {}, lambda p, x, key: activations.sparsemax(x), floats(6)),
    Block("swiglu", {}, lambda p, x, key: activations.swiglu(x), floats(6)),
    # linear, dropout
    Block("linear", layers.linear_spec(5, 7), lambda p, x, key: layers.linear(p, x), floats(5)),
    Block("linear-no-bias", layers.linear_spec(5, 7, bias=False), lambda p, x, key: layers.linear(p, x), floats(5)),
    Block(
        "linear-many-axes",
        layers.linear_spec((2, 3), (4, 5), axes=("heads", "head", "a", "b")),
        lambda p, x, key: layers.linear(p, x, in_axes=2),
        floats(2, 3),
    ),
    Block("dropout", {}, lambda p, x, key: layers.dropout(x, 0.3, key=key), floats(6), noisy=True),
    # convolution, pooling, normalization
    Block("conv-1d", layers.conv_spec(2, 4, (3,)), lambda p, x, key: layers.conv(p, x, padding="CAUSAL"), floats(6, 2)),
    Block(
        "conv-strided-dilated",
        layers.conv_spec(4, 8, (3, 2)),
        lambda p, x, key: layers.conv(p, x, stride=(2, 1), dilation=(1, 2)),
        floats(5, 6, 4),
    ),
    Block(
        "conv-groups",
        layers.conv_spec(24, 6, (3, 3), groups=2, bias=False),
        lambda p, x, key: layers.conv(p, x, groups=2, padding="REFLECT"),
        floats(4, 4, 24),
    ),
    Block("conv-2d", layers.conv_spec(8, 4, (3, 3)), lambda p, x, key: layers.conv(p, x), floats(4, 4, 8)),
    Block("conv-of-one", layers.conv_spec(3, 4, (1, 1)), lambda p, x, key: layers.conv(p, x), floats(4, 5, 3)),
    Block(
        "conv-3d",
        layers.conv_spec(2, 3, (2, 2, 2)),
        lambda p, x, key: layers.conv(p, x, padding="CIRCULAR"),
        floats(3, 3, 3, 2),
    ),
    Block(
        "depthwise_conv",
        layers.depthwise_conv_spec(3, (3, 3), multiplier=2),
        lambda p, x, key: layers.depthwise_conv(p, x, stride=2),
        floats(5, 5, 3),
    ),
    Block(
        "separable_conv",
        layers.separable_conv_spec(3, 5, (3, 3)),
        lambda p, x, key: layers.separable_conv(p, x),
        floats(4, 4, 3),
    ),
    Block(
        "conv_transpose",
        layers.conv_transpose_spec(4, 6, (3, 3), groups=2),
        lambda p, x, key: layers.conv_transpose(p, x, stride=2, groups=2),
        floats(3, 4, 4),
    ),
    Block("max_pool", {}, lambda p, x, key: layers.max_pool(x, (2, 2)), floats(4, 4, 3)),
    Block(
        "max_pool-overlapping", {}, lambda p, x, key: layers.max_pool(x, (3,), stride=2, padding="SAME"), floats(7, 3)
    ),
    Block("avg_pool", {}, lambda p, x, key: layers.avg_pool(x, (3, 2), stride=1, padding="SAME"), floats(4, 4, 3)),
    Block("global_max_pool", {}, lambda p, x, key: layers.global_max_pool(x), floats(4, 5, 3)),
    Block("global_avg_pool", {}, lambda p, x, key: layers.global_avg_pool(x, spatial=1), floats(4, 3)),
    Block("adaptive_max_pool", {}, lambda p, x, key: layers.adaptive_max_pool(x, (2, 3)), floats(5, 5, 3)),
    Block("adaptive_avg_pool", {}, lambda p, x, key: layers.adaptive_avg_pool(x, (2, 3)), floats(5, 5, 3)),
    Block(
        "batch_norm",
        layers.batch_norm_spec(3),
        # statistics are float32 whatever x is; here they take x's dtype, which law 7 asks of every output
        lambda p, x, key: jax.tree.map(lambda leaf: leaf.astype(x.dtype), layers.batch_norm(p, x)),
        floats(4, 3),
        per_example=False,
    ),
    Block("layer_norm", layers.layer_norm_spec(6), lambda p, x, key: layers.layer_norm(p, x), floats(6)),
    Block("rms_norm", layers.rms_norm_spec(6), lambda p, x, key: layers.rms_norm(p, x), floats(6)),
    Block(
        "rms_norm-zero-centered",
        layers.rms_norm_spec(6, zero_centered=True),
        lambda p, x, key: layers.rms_norm(p, x),
        floats(6),
    ),
    Block("group_norm", layers.group_norm_spec(6), lambda p, x, key: layers.group_norm(p, x, 3), floats(2, 3, 6)),
    Block("instance_norm", layers.instance_norm_spec(3), lambda p, x, key: layers.instance_norm(p, x), floats(4, 4, 3)),
    # embedding, position, recurrent, attention
    Block("embed", layers.embed_spec(11, 5), lambda p, x, key: layers.embed(p, x), integers(11, 4)),
    Block("unembed", layers.embed_spec(11, 5), lambda p, x, key: layers.unembed(p, x), floats(5)),
    Block(
        "learned_positions",
        layers.learned_positions_spec(9, 5),
        lambda p, x, key: layers.learned_positions(p, x),
        integers(9, 4),
    ),
    Block("rotary", {}, lambda p, x, key: layers.rotary(x, jnp.arange(4)), floats(4, 2, 6)),
    Block("attention", layers.attention_spec(8, 2), lambda p, x, key: layers.attention(p, x), floats(5, 8)),
    Block(
        "attention-causal-grouped",
        layers.attention_spec(6, 4, kv_heads=2, head=3, bias=False),
        lambda p, x, key: layers.attention(p, x, causal=True),
        floats(5, 6),
    ),
    attending("attention-causal", layers.attention_spec(8, 2)),
    attending("attention-rotary-grouped", layers.attention_spec(8, 4, kv_heads=2), rotate=layers.rotary),
    attending("attention-window-rotary", layers.attention_spec(8, 2, kv_heads=1), window=3, rotate=layers.rotary),
    Block(
        "attention-masked",
        layers.attention_spec(8, 2),
        lambda p, x, key: layers.attention(p, x, mask=jnp.arange(5)[:, None] > jnp.arange(5)[None, :]),
        floats(5, 8),
    ),
    Block(
        "attention-cross",
        layers.attention_spec(8, 2, d_kv=6),
        lambda p, x, kv, key: layers.attention(p, x, kv),
        lambda rng: floats(3, 8)(rng) + floats(5, 6)(rng),
    ),
    Block(
        "cached_attention",
        layers.attention_spec(8, 2),
        remembered,
        floats(5, 8),
    ),
    Block(
        "experts",
        layers.mixture_of_experts_spec(6, 8, 4, gate=True),
        # the routing is float32 whatever x is; law 7 is about the answer
        lambda p, x, key: layers.mixture_of_experts(p, x, top=2)[0],
        floats(5, 6),
    ),
    Block("rnn_cell", layers.rnn_cell_spec(3, 4), lambda p, x, key: layers.rnn_cell(p, None, x), floats(3)),
    Block("lstm_cell", layers.lstm_cell_spec(3, 4), lambda p, x, key: layers.lstm_cell(p, None, x), floats(3)),
    Block("gru_cell", layers.gru_cell_spec(3, 4), lambda p, x, key: layers.gru_cell(p, None, x), floats(3)),
    recurring("rnn", layers.rnn_cell_spec(3, 4, recurrent_bias=True), layers.rnn_cell),
    recurring("rnn-lstm", layers.lstm_cell_spec(3, 4), layers.lstm_cell),
    recurring("rnn-gru", layers.gru_cell_spec(3, 4), layers.gru_cell),
    Block(
        "bidirectional-lstm-lengths",
        layers.bidirectional_spec(layers.lstm_cell_spec(4, 6, recurrent_bias=True)),
        lambda p, x, n, key: layers.bidirectional(layers.lstm_cell, p, x, lengths=n),
        lambda rng: (*floats(5, 4)(rng), *integers(6)(rng)),
    ),
    Block(
        "stacked-rnn",
        [layers.rnn_cell_spec(4, 6), layers.rnn_cell_spec(6, 6, recurrent_bias=True)],
        lambda p, x, key: layers.stacked_rnn(partial(layers.rnn, layers.rnn_cell), p, x, key=key, rate=0.3),
        floats(5, 4),
        noisy=True,
    ),
]
