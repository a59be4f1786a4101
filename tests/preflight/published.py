"""Published decoders, as shapes: GPT-2 and GPT-3 by `jnn.models.transformer`, Llama 2 from `jnn.layers`.

`jnn.models.transformer` is GPT's: layer norms, biases, a GELU between two linear maps, a tied read-out. Llama has RMS
norms, no biases, a gate (SwiGLU) and a read-out of its own, so its block stands here: a user's model is the same two
functions.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jnn import layers
from jnn.axes import constrain, gather
from jnn.initializers import normal
from jnn.losses import cross_entropy
from jnn.models import transformer, transformer_spec
from jnn.param import stack
from jnn.preflight import TrainingJob
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Shape:
    """A decoder's sizes."""

    vocab: int
    context: int
    layers: int
    heads: int
    embed: int
    hidden: int
    kv_heads: int
    head: int | None = None  # embed / heads

    def attention_flops(self, time: int) -> int:
        """Of one row, gradient included: two products for each pair of query and key, j <= i."""
        return 3 * self.layers * 2 * 2 * self.embed * (time * (time + 1) // 2)


# "Llama 2: Open Foundation and Fine-Tuned Chat Models", Touvron et al., 2023, and the weights' own configurations.
LLAMA_7B = Shape(32000, 4096, 32, 32, 4096, 11008, 32)
LLAMA_70B = Shape(32000, 4096, 80, 64, 8192, 28672, 8)
# MaxText's dense ladder for a v5e pod, of 16, 32, 64 and 128 billion parameters (`configs/tpu/v5e`), by the doublings
# of its base configuration that `global_parameter_scale` means.
LADDER = {
    16: Shape(32000, 2048, 32, 64, 4096, 28672, 64, head=128),
    32: Shape(32000, 2048, 32, 64, 8192, 28672, 64, head=128),
    64: Shape(32000, 2048, 64, 64, 8192, 28672, 64, head=128),
    128: Shape(32000, 2048, 64, 128, 8192, 57344, 128, head=128),
}
# "Language Models are Few-Shot Learners", Brown et al., 2020, table 2.1; GPT-2's vocabulary.
GPT3 = Shape(50257, 2048, 96, 96, 12288, 4 * 12288, 96)
# "Language Models are Unsupervised Multitask Learners", Radford et al., 2019; its vocabulary filled up to 128's.
GPT2 = Shape(50304, 1024, 12, 12, 768, 4 * 768, 12)


def gpt_spec(s: Shape) -> Any:
    return transformer_spec(s.vocab, s.context, layers=s.layers, heads=s.heads, embed=s.embed, hidden=s.hidden)


def llama_spec(s: Shape) -> Any:
    init = normal(0.02)
    gate = lambda: layers.linear_spec(s.embed, s.hidden, bias=False, init=init)
    block = {
        "norm1": layers.rms_norm_spec(s.embed),
        "attention": layers.attention_spec(s.embed, s.heads, kv_heads=s.kv_heads, head=s.head, bias=False, init=init),
        "norm2": layers.rms_norm_spec(s.embed),
        "gate": gate(),
        "up": gate(),
        "down": layers.linear_spec(s.hidden, s.embed, axes=("hidden", "embed"), bias=False, init=init),
    }
    return {
        "embed": layers.embed_spec(s.vocab, s.embed),
        "blocks": stack(block, s.layers),
        "norm": layers.rms_norm_spec(s.embed),
        "out": layers.linear_spec(s.embed, s.vocab, axes=("embed", "vocab"), bias=False, init=init),
    }


def llama(p: Any, tokens: jax.Array) -> jax.Array:
    """Logits; each block is computed again for its gradient."""
    ends = {name: gather(p[name], name) for name in ("embed", "norm", "out")}
    x = constrain(layers.embed(ends["embed"], tokens), "time", "embed")

    @jax.checkpoint
    def block(x, p):
        p = gather(p, "blocks")
        h = layers.attention(p["attention"], layers.rms_norm(p["norm1"], x), causal=True, rotate=layers.rotary)
        x = x + h
        h = layers.rms_norm(p["norm2"], x)
        gated = constrain(jax.nn.silu(layers.linear(p["gate"], h)) * layers.linear(p["up"], h), "time", "hidden")
        return x + constrain(layers.linear(p["down"], gated), "time", "embed"), None

    x, _ = jax.lax.scan(block, x, p["blocks"])
    return constrain(layers.linear(ends["out"], layers.rms_norm(ends["norm"], x)), "time", "vocab")


def gpt_loss(params, batch, ctx):
    return LossOutput(cross_entropy(transformer(params, batch["x"], key=ctx.key), batch["y"]))


def llama_loss(params, batch, ctx):
    return LossOutput(cross_entropy(llama(params, batch["x"]), batch["y"]))


def job(spec, loss, rows: int, time: int, **options: Any) -> TrainingJob:
    """One step of AdamW in bfloat16 with float32 masters."""
    batch = {name: jax.ShapeDtypeStruct((rows, time), jnp.int32) for name in "xy"}
    return TrainingJob(spec, loss, optax.adamw(1e-4), batch, options={"compute_dtype": jnp.bfloat16} | options)
