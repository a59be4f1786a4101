"""What is put beside a trained model's weights, and weights of integers or of low rank: as layers read them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import compression, finetune, initializers, layers, models, quantization
from jnn.laws import Block
from jnn.param import Param, Spec, map_paths
from tests.table.layers import attending
from tests.table.rows import floats

MAP = layers.linear_spec((2, 3), (4, 5), axes=("heads", "head", "a", "b"))
ATTENTION = layers.attention_spec(8, 4, kv_heads=2)
BLOCK = models.transformer_block_spec(8, 2, 16)
TABLE = layers.embed_spec(6, 8)


def drawable(spec: Spec) -> Spec:
    """A spec of integers and scales with initial values."""

    def draw(key: jax.Array, shape: Any, dtype: Any) -> jax.Array:
        if jnp.issubdtype(dtype, jnp.integer):
            return jax.random.randint(key, shape, -127, 128, dtype)
        return jax.random.uniform(key, shape, dtype, 0.005, 0.01)

    own = lambda path, param: path.split("/")[-1] in ("int8", "int4", "w8a8", "scales", "input_factors")
    redrawn = lambda p: Param(p.shape, draw, p.axes, p.dtype, p.fan_in, p.fan_out, p.receptive, p.stacked)
    return map_paths(lambda path, param: redrawn(param) if own(path, param) else param, spec)


def quantized(spec: Spec, **how: Any) -> Spec:
    return drawable(quantization.quantize_spec(spec, **how))


INT8 = quantization.quantize_spec(layers.linear_spec(6, 4))["w"]
W8A8 = {"w8a8": INT8["int8"], "scales": INT8["scales"]}
AWQ = INT8 | {"input_factors": Param((6,), initializers.ones, ("embed",), jnp.float32)}


def mapped(name: str, spec: Spec) -> Block:
    return Block(name, spec, lambda p, x, key: layers.linear(p, x, in_axes=2), floats(2, 3))


def blockwise(name: str, spec: Spec) -> Block:
    return Block(name, spec, lambda p, x, key: models.transformer_block(p, x, key=None), floats(6, 8), causal=True)


BLOCKS = [
    Block("adapter", layers.adapter_spec(6, 3), lambda p, x, key: layers.adapter(p, x), floats(6)),
    mapped("linear-dora", finetune.with_parts(MAP, finetune.dora_spec(MAP, 2, where="w"))),
    mapped("linear-int8", quantized(MAP)),
    mapped("linear-low-rank", compression.low_rank_spec(MAP, 2)),
    Block(
        "linear-int4-dora",
        finetune.with_parts(
            quantized(layers.linear_spec(6, 8), bits=4), finetune.dora_spec(layers.linear_spec(6, 8), 2, where="w")
        ),
        lambda p, x, key: layers.linear(p, x),
        floats(6),
    ),
    Block("linear-w8a8", drawable({"w": W8A8}), lambda p, x, key: layers.linear(p, x), floats(6)),
    Block("linear-awq", drawable({"w": AWQ}), lambda p, x, key: layers.linear(p, x), floats(6)),
    Block("conv-int8", quantized(layers.conv_spec(3, 4, (3,))), lambda p, x, key: layers.conv(p, x), floats(5, 3)),
    Block("unembed-int4", quantized(TABLE, bits=4), lambda p, x, key: layers.unembed(p, x), floats(8)),
    attending("attention-prefix", finetune.with_parts(ATTENTION, finetune.prefixes_spec(ATTENTION, 3))),
    blockwise("block-adapters", finetune.with_parts(BLOCK, finetune.adapters_spec(BLOCK, 3))),
]
