"""The workloads in jnn as they come to mind: a Python loop over layers that stand beside each other, ReLU before the
pooling, a depthwise convolution as one of groups. What `models` spells otherwise should not have to be known.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.jnn.training import Network, train
from experiments.benchmarks.measure import Built
from jnn.activations import gelu
from jnn.initializers import zeros
from jnn.layers import (
    attention,
    attention_spec,
    batch_norm,
    batch_norm_spec,
    conv,
    conv_spec,
    dropout,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions_spec,
    linear,
    linear_spec,
    max_pool,
    unembed,
)
from jnn.models import batch_stats_spec
from jnn.param import Param, Params, Spec

Stats = dict[str, Any]


def build(workload: str) -> Built:
    """Sets a workload up."""
    return train(workload, NETWORKS[workload]())


def cnn() -> Network:
    spec = {
        "conv1": conv_spec(3, 32, (3, 3)),
        "conv2": conv_spec(32, 64, (3, 3)),
        "fc1": linear_spec(8 * 8 * 64, 512),
        "fc2": linear_spec(512, problems.CLASSES),
    }

    def apply(p, x, *, key):
        for name in ("conv1", "conv2"):
            x = max_pool(jax.nn.relu(conv(p[name], x)), (2, 2))
        h = jax.nn.relu(linear(p["fc1"], x.reshape(len(x), -1)))
        return linear(p["fc2"], dropout(h, problems.CNN_DROPOUT, key=key))

    return Network(spec, apply)


def tiny() -> Network:
    width, layers = problems.TINY_WIDTH, [f"layer{i}" for i in range(problems.TINY_LAYERS)]
    spec = {name: {"fc": linear_spec(width, width), "norm": layer_norm_spec(width)} for name in layers}

    def apply(p, x, *, key):
        for name in layers:
            x = jax.nn.relu(layer_norm(p[name]["norm"], linear(p[name]["fc"], x)))
        return linear(p["out"], x)

    return Network(spec | {"out": linear_spec(width, problems.CLASSES)}, apply)


def block_spec(size: problems.Transformer) -> Spec:
    d = size.width
    parts = {"norm1": layer_norm_spec(d), "attention": attention_spec(d, size.heads), "norm2": layer_norm_spec(d)}
    return {**parts, "up": linear_spec(d, 4 * d), "down": linear_spec(4 * d, d)}


def block(p: Params, x: jax.Array, *, causal: bool) -> jax.Array:
    x = x + attention(p["attention"], layer_norm(p["norm1"], x), causal=causal)
    return x + linear(p["down"], gelu(linear(p["up"], layer_norm(p["norm2"], x))))


def gpt() -> Network:
    size = problems.DECODERS["gpt"]
    blocks = {f"block{i}": block_spec(size) for i in range(size.layers)}
    ends = {"embed": embed_spec(size.vocab, size.width), "position": learned_positions_spec(size.tokens, size.width)}

    def apply(p, tokens, *, key):
        x = embed(p["embed"], tokens) + p["position"]["table"]
        for name in blocks:
            x = block(p[name], x, causal=True)
        return unembed(p["embed"], layer_norm(p["norm"], x))

    return Network(ends | blocks | {"norm": layer_norm_spec(size.width)}, apply)


def vit() -> Network:
    size, patch, (*_, c) = problems.VIT, (problems.PATCH, problems.PATCH), problems.PROBLEMS["vit"].shape
    blocks = {f"block{i}": block_spec(size) for i in range(size.layers)}
    ends = {"patch": conv_spec(c, size.width, patch), "class": Param((size.width,), zeros, ("embed",))}
    out = {"norm": layer_norm_spec(size.width), "out": linear_spec(size.width, problems.CLASSES)}
    position = {"position": learned_positions_spec(size.tokens + 1, size.width)}

    def apply(p, x, *, key):
        h = conv(p["patch"], x, stride=problems.PATCH, padding="VALID").reshape(len(x), -1, size.width)
        first = jnp.broadcast_to(p["class"], (len(x), 1, size.width))
        h = jnp.concatenate([first, h], 1) + p["position"]["table"]
        for name in blocks:
            h = block(p[name], h, causal=False)
        return linear(p["out"], layer_norm(p["norm"], h)[:, 0])

    return Network(ends | position | blocks | out, apply)


def unit_spec(c_in: int, c_out: int, kernel: int, groups: int = 1) -> Spec:
    return {
        "conv": conv_spec(c_in, c_out, (kernel, kernel), groups=groups, bias=False),
        "norm": batch_norm_spec(c_out),
    }


def unit(p: Params, x: jax.Array, seen: Stats, name: str, stride: int = 1, groups: int = 1) -> jax.Array:
    """A convolution and batch norm, whose statistics it leaves in `seen`."""
    pads = [n // 2 for n in p[name]["conv"]["w"].shape[:2]]
    h = conv(p[name]["conv"], x, stride=stride, padding=pads, groups=groups)
    h, stats = batch_norm(p[name]["norm"], h)
    seen[name] = {"norm": stats}
    return h


def mobilenet() -> Network:
    size, c = problems.MOBILENET, problems.MOBILENET.stem
    spec: Spec = {"stem": unit_spec(3, c, 3)}
    for i, width in enumerate(size.widths):
        wide = size.widen * c
        parts = {"expand": unit_spec(c, wide, 1), "depthwise": unit_spec(wide, wide, 3, wide)}
        spec[f"block{i}"], c = {**parts, "project": unit_spec(wide, width, 1)}, width
    spec |= {"last": unit_spec(c, size.last, 1), "out": linear_spec(size.last, problems.CLASSES)}

    def apply(p, x, *, key):
        seen: Stats = {}
        x = jax.nn.relu6(unit(p, x, seen, "stem"))
        for i, stride in enumerate(size.strides):
            own, told = p[f"block{i}"], seen.setdefault(f"block{i}", {})
            h = jax.nn.relu6(unit(own, x, told, "expand"))
            h = jax.nn.relu6(unit(own, h, told, "depthwise", stride, h.shape[-1]))
            h = unit(own, h, told, "project")
            x = x + h if x.shape == h.shape else h
        x = jax.nn.relu6(unit(p, x, seen, "last"))
        return linear(p["out"], x.mean((1, 2))), seen

    return Network(spec, apply, batch_stats_spec(spec))


def resnet() -> Network:
    size, c = problems.RESNET, problems.RESNET.widths[0]
    spec: Spec = {"stem": unit_spec(3, c, 7)}
    for i, (width, _) in enumerate(size.blocks):
        shortcut = {"shortcut": unit_spec(c, width, 1)} if c != width else {}
        spec[f"block{i}"] = {"unit1": unit_spec(c, width, 3), "unit2": unit_spec(width, width, 3), **shortcut}
        c = width

    def apply(p, x, *, key):
        seen: Stats = {}
        x = max_pool(jax.nn.relu(unit(p, x, seen, "stem", 2)), (3, 3), stride=2, padding=1)
        for i, (_, stride) in enumerate(size.blocks):
            own, told = p[f"block{i}"], seen.setdefault(f"block{i}", {})
            h = unit(own, jax.nn.relu(unit(own, x, told, "unit1", stride)), told, "unit2")
            x = jax.nn.relu(h + (unit(own, x, told, "shortcut", stride) if "shortcut" in own else x))
        return linear(p["out"], x.mean((1, 2))), seen

    spec |= {"out": linear_spec(c, problems.CLASSES)}
    return Network(spec, apply, batch_stats_spec(spec))


NETWORKS = {"cnn": cnn, "gpt": gpt, "tiny": tiny, "mobilenet": mobilenet, "resnet": resnet, "vit": vit}
