"""The workloads in jnn, by `jnn.models` where it has them; equal layers are stacked and scanned."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.jnn.training import Network, train
from experiments.benchmarks.measure import Built, likeliest
from jnn import models
from jnn.generation import GREEDY, generate
from jnn.graphs import Edges
from jnn.initializers import zeros
from jnn.layers import (
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
    lstm_cell,
    lstm_cell_spec,
    mixture_of_experts,
    mixture_of_experts_spec,
    rnn,
    unembed,
)
from jnn.param import Param, Params, Spec


def build(workload: str, **how: Any) -> Built:
    """Sets a workload up; how is as in `train`."""
    return decode() if workload == "decode" else train(workload, NETWORKS[workload](), **how)


def mlp() -> Network:
    rates = (problems.MLP_DROPOUT, 0.0)
    return Network(models.mlp_spec((784, 128, 64, problems.CLASSES)), partial(models.mlp, rate=rates))


def cnn() -> Network:
    spec = models.cnn_spec((32, 32, 3), (32, 64), 512, problems.CLASSES)
    return Network(spec, partial(models.cnn, rate=problems.CNN_DROPOUT))


def tiny() -> Network:
    width = problems.TINY_WIDTH
    layer = {"fc": linear_spec(width, width), "norm": layer_norm_spec(width)}
    spec = {"layers": jnn.stack(layer, problems.TINY_LAYERS), "out": linear_spec(width, problems.CLASSES)}

    def apply(p, x, *, key):
        def one(h, p):
            return jax.nn.relu(layer_norm(p["norm"], linear(p["fc"], h))), None

        # layers this small are quicker as one straight piece of code than as a loop; the stack stays one array a leaf
        return linear(p["out"], jax.lax.scan(one, x, p["layers"], unroll=True)[0])

    return Network(spec, apply)


def lstm() -> Network:
    spec = {
        "lstm": lstm_cell_spec(problems.LSTM_FEATURES, problems.LSTM_HIDDEN),
        "out": linear_spec(problems.LSTM_HIDDEN, problems.CLASSES),
    }

    def apply(p, x, *, key):
        outputs, _ = rnn(lstm_cell, p["lstm"], x)
        return linear(p["out"], outputs[:, -1])

    return Network(spec, apply)


def decoder_spec(name: str) -> Spec:
    size = problems.DECODERS[name]
    return models.transformer_spec(size.vocab, size.tokens, layers=size.layers, heads=size.heads, embed=size.width)


def decoder(name: str) -> Network:
    return Network(decoder_spec(name), models.transformer)


def mobilenet() -> Network:
    size = problems.MOBILENET
    stages = [(size.widen, width, 1) for width in size.widths]
    spec = models.mobilenet_v2_spec(problems.CLASSES, stages=stages, stem=size.stem, last=size.last)
    apply = partial(models.mobilenet_v2, rate=0.0, stem_stride=1, strides=size.strides)
    return Network(spec, apply, models.batch_stats_spec(spec))


def resnet() -> Network:
    widths, depth = problems.RESNET.widths, problems.RESNET.depth
    spec = models.resnet_spec([depth] * len(widths), widths, problems.CLASSES, stem=widths[0])
    return Network(spec, models.resnet, models.batch_stats_spec(spec))


def vit() -> Network:
    size, image = problems.VIT, problems.PROBLEMS["vit"].shape[1:]
    widths = {"layers": size.layers, "heads": size.heads, "embed": size.width}
    return Network(models.vit_spec(image, problems.PATCH, problems.CLASSES, **widths), models.vit)


def gcn() -> Network:
    size, (senders, receivers, _) = problems.GRAPH, problems.edges(loops=False)

    def apply(p, x, *, key):
        return models.node_classifier(p, x, Edges(senders, receivers), key=key, rate=problems.GCN_DROPOUT)

    return Network(models.node_classifier_spec(size.words, size.hidden, size.classes), apply)


def diffusion() -> Network:
    channels = problems.PROBLEMS["diffusion"].shape[-1]
    spec = models.diffusion_unet_spec(problems.UNET_WIDTHS, blocks=1, channels=channels)
    return Network(spec, partial(models.diffusion_unet, groups=problems.UNET_GROUPS))


def moe() -> Network:
    size = problems.EXPERTS
    block = {
        "norm": layer_norm_spec(size.width),
        "experts": mixture_of_experts_spec(size.width, size.hidden, size.experts),
    }
    spec = {"embed": embed_spec(size.vocab, size.width), "blocks": jnn.stack(block, size.blocks)}

    def apply(p, tokens, *, key):
        def one(x, p):
            return x + mixture_of_experts(p["experts"], layer_norm(p["norm"], x), top=size.top)[0], None

        return unembed(p["embed"], jax.lax.scan(one, embed(p["embed"], tokens), p["blocks"])[0])

    return Network(spec, apply)


def leaves(count: int) -> Network:
    """Only the first is used: what the others cost is their way into the compiled step and out of it."""

    def apply(p: Params, x: jax.Array, *, key: jax.Array) -> jax.Array:
        return x * p["leaf0"]

    return Network({f"leaf{i}": Param((), zeros, ()) for i in range(count)}, apply)


def decode() -> Built:
    size, prompt = problems.DECODERS["decode"], jnp.asarray(problems.batch("decode")["x"])
    spec, start = decoder_spec("decode"), prompt.shape[1]
    p, steps = jnn.init(spec, jax.random.key(0)), size.tokens - start
    step = lambda: generate(p, prompt, steps, models.TRANSFORMER, GREEDY).tokens

    def check(first: float, last: float) -> None:
        tokens = step()
        likeliest(tokens, models.transformer(p, tokens, key=None), start)

    return Built(step, lambda tokens: float(np.asarray(tokens)[0, -1]), jnn.count_params(spec), steps, check)


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "gpt": partial(decoder, "gpt"),
    "tiny": tiny,
    "deep": partial(decoder, "deep"),
    "mobilenet": mobilenet,
    "resnet": resnet,
    "vit": vit,
    "gcn": gcn,
    "diffusion": diffusion,
    "moe": moe,
    **{name: partial(leaves, count) for name, count in problems.LEAVES.items()},
}
