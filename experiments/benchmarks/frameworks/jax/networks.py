"""The workloads in plain JAX: a Python loop over layers, `lax.scan` over time. (Of images: `images`.)"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.jax import images
from experiments.benchmarks.frameworks.jax.decode import decode
from experiments.benchmarks.frameworks.jax.layers import (
    conv,
    conv_init,
    decoder,
    decoder_init,
    dense,
    dense_init,
    dropout,
    layer_norm,
    max_pool,
    norm_init,
)
from experiments.benchmarks.frameworks.jax.training import Network, train
from experiments.benchmarks.measure import Built


def build(workload: str) -> Built:
    """Sets a workload up."""
    return decode() if workload == "decode" else train(workload, NETWORKS[workload](jax.random.key(0)))


def mlp(key: jax.Array) -> Network:
    sizes = [(784, 128), (128, 64), (64, problems.CLASSES)]
    params = [dense_init(key, *size) for key, size in zip(jax.random.split(key, 3), sizes, strict=True)]

    def apply(params, x, key):
        first, second, last = params
        h = dropout(jax.nn.relu(dense(first, x)), problems.MLP_DROPOUT, key)
        return dense(last, jax.nn.relu(dense(second, h)))

    return Network(params, apply)


def cnn(key: jax.Array) -> Network:
    k1, k2, k3, k4 = jax.random.split(key, 4)
    params = {
        "conv1": conv_init(k1, 3, 32),
        "conv2": conv_init(k2, 32, 64),
        "fc1": dense_init(k3, 8 * 8 * 64, 512),
        "fc2": dense_init(k4, 512, problems.CLASSES),
    }

    def apply(params, x, key):
        h = max_pool(jax.nn.relu(conv(params["conv1"], x)))
        h = max_pool(jax.nn.relu(conv(params["conv2"], h)))
        h = jax.nn.relu(dense(params["fc1"], h.reshape(len(h), -1)))
        return dense(params["fc2"], dropout(h, problems.CNN_DROPOUT, key))

    return Network(params, apply)


def lstm(key: jax.Array) -> Network:
    k1, k2, k3 = jax.random.split(key, 3)
    hidden = problems.LSTM_HIDDEN
    params = {
        "x": dense_init(k1, problems.LSTM_FEATURES, 4 * hidden),
        "h": dense_init(k2, hidden, 4 * hidden)["w"],
        "out": dense_init(k3, hidden, problems.CLASSES),
    }

    def apply(params, x, key):
        def cell(carry, x):
            h, c = carry
            i, f, g, o = jnp.split(dense(params["x"], x) + h @ params["h"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((len(x), hidden))
        (h, _), _ = jax.lax.scan(cell, (zeros, zeros), jnp.swapaxes(x, 0, 1))
        return dense(params["out"], h)

    return Network(params, apply)


def blocks(name: str, key: jax.Array) -> Network:
    size = problems.DECODERS[name]
    return Network(decoder_init(key, size), lambda params, tokens, key: decoder(params, tokens, size.heads))


def tiny(key: jax.Array) -> Network:
    *keys, last = jax.random.split(key, problems.TINY_LAYERS + 1)
    width = problems.TINY_WIDTH
    layers = [{"fc": dense_init(k, width, width), "norm": norm_init(width)} for k in keys]

    def apply(params, h, key):
        for p in params["layers"]:
            h = jax.nn.relu(layer_norm(p["norm"], dense(p["fc"], h)))
        return dense(params["out"], h)

    return Network({"layers": layers, "out": dense_init(last, width, problems.CLASSES)}, apply)


def gcn(key: jax.Array) -> Network:
    """The graph does not change: its weights are there before training."""
    size, (senders, receivers, weights) = problems.GRAPH, problems.edges(loops=True)
    k1, k2 = jax.random.split(key)
    params = [dense_init(k1, size.words, size.hidden), dense_init(k2, size.hidden, size.classes)]

    def layer(p, x):
        sent = (x @ p["w"])[senders] * weights[:, None]
        return jax.ops.segment_sum(sent, receivers, size.nodes) + p["b"]

    def apply(params, x, key):
        k1, k2 = jax.random.split(key)
        h = jax.nn.relu(layer(params[0], dropout(x, problems.GCN_DROPOUT, k1)))
        return layer(params[1], dropout(h, problems.GCN_DROPOUT, k2))

    return Network(params, apply)


def experts_init(key, size: problems.Experts):
    k1, k2, k3 = jax.random.split(key, 3)
    up = jax.random.normal(k1, (size.experts, size.width, size.hidden)) * size.width**-0.5
    down = jax.random.normal(k2, (size.experts, size.hidden, size.width)) * size.hidden**-0.5
    router = jax.random.normal(k3, (size.width, size.experts)) * size.width**-0.5
    return {"norm": norm_init(size.width), "router": router, "up": up, "down": down}


def experts(p, x, top):
    """Rows (n, d): a token's copies sorted by expert, `lax.ragged_dot`, and back."""
    best, which = jax.lax.top_k(x @ p["router"], top)
    order = jnp.argsort(which.ravel())
    sizes = jnp.bincount(which.ravel(), length=len(p["up"]))
    h = jax.nn.gelu(jax.lax.ragged_dot(x[order // top], p["up"], sizes))
    answers = jax.lax.ragged_dot(h, p["down"], sizes)[jnp.argsort(order)]
    return (answers.reshape(len(x), top, -1) * jax.nn.softmax(best)[..., None]).sum(1)


def moe(key: jax.Array) -> Network:
    size = problems.EXPERTS
    first, *keys = jax.random.split(key, 1 + size.blocks)
    tokens = jax.random.normal(first, (size.vocab, size.width)) * 0.02
    params = {"tokens": tokens, "blocks": [experts_init(k, size) for k in keys]}

    def apply(params, tokens, key):
        x = params["tokens"][tokens.ravel()]
        for p in params["blocks"]:
            x = x + experts(p, layer_norm(p["norm"], x), size.top)
        return (x @ params["tokens"].T).reshape(*tokens.shape, -1)

    return Network(params, apply)


def leaves(count: int, key: jax.Array) -> Network:
    return Network({f"leaf{i}": jnp.zeros(()) for i in range(count)}, lambda params, x, key: x * params["leaf0"])


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "gpt": partial(blocks, "gpt"),
    "tiny": tiny,
    "deep": partial(blocks, "deep"),
    "mobilenet": images.mobilenet,
    "resnet": images.resnet,
    "vit": images.vit,
    "gcn": gcn,
    "diffusion": images.diffusion,
    "moe": moe,
    **{name: partial(leaves, count) for name, count in problems.LEAVES.items()},
}
