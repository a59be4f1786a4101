"""The workloads in plain JAX and Optax, as a competent user writes them without a layer library.

Nested dicts, matrix products on whatever shape comes, `lax.conv_general_dilated`, `lax.reduce_window`,
`lax.scan` over time, a Python loop over layers; one jitted step with donated state.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks import problems
from experiments.benchmarks.measure import Built

Params = dict[str, Any]
Loss = Callable[[Params, dict[str, jax.Array], jax.Array], jax.Array]


def built(name: str, params: Params, loss: Loss, optimizer: optax.GradientTransformation) -> Built:
    """Trains `loss(params, batch, key) -> scalar` on the workload's batch."""
    batch = jax.tree.map(jnp.asarray, problems.batch(name))
    state = (params, optimizer.init(params), jax.random.key(1))

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, batch):
        params, opt_state, key = state
        key, noise = jax.random.split(key)
        value, grads = jax.value_and_grad(loss)(params, batch, noise)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, key), value

    def step():
        nonlocal state
        state, value = update(state, batch)
        return value

    return Built(step, float, sum(x.size for x in jax.tree.leaves(params)))


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def dropout(x, rate, key):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def dense_init(key, d_in, d_out):
    return {"w": jax.random.normal(key, (d_in, d_out)) * d_in**-0.5, "b": jnp.zeros(d_out)}


def dense(p, x):
    return x @ p["w"] + p["b"]


def norm_init(width):
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def layer_norm(p, x):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p["scale"] + p["bias"]


def mlp() -> Built:
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = [(784, 128), (128, 64), (64, problems.CLASSES)]
    params = {f"fc{i}": dense_init(k, *s) for i, (k, s) in enumerate(zip(keys, sizes, strict=True))}

    def loss(params, batch, key):
        h = dropout(jax.nn.relu(dense(params["fc0"], batch["x"])), problems.MLP_DROPOUT, key)
        return cross_entropy(dense(params["fc2"], jax.nn.relu(dense(params["fc1"], h))), batch["y"])

    return built("mlp", params, loss, optax.adam(problems.LEARNING_RATE))


def conv_init(key, c_in, c_out):
    return {"w": jax.random.normal(key, (3, 3, c_in, c_out)) * (9 * c_in) ** -0.5, "b": jnp.zeros(c_out)}


def conv(p, x):
    return jax.lax.conv_general_dilated(x, p["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + p["b"]


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn() -> Built:
    k1, k2, k3, k4 = jax.random.split(jax.random.key(0), 4)
    params = {
        "conv1": conv_init(k1, 3, 32),
        "conv2": conv_init(k2, 32, 64),
        "fc1": dense_init(k3, 8 * 8 * 64, 512),
        "fc2": dense_init(k4, 512, problems.CLASSES),
    }

    def loss(params, batch, key):
        h = max_pool(jax.nn.relu(conv(params["conv1"], batch["x"])))
        h = max_pool(jax.nn.relu(conv(params["conv2"], h)))
        h = jax.nn.relu(dense(params["fc1"], h.reshape(len(h), -1)))
        return cross_entropy(dense(params["fc2"], dropout(h, problems.CNN_DROPOUT, key)), batch["y"])

    return built("cnn", params, loss, optax.adam(problems.LEARNING_RATE))


def lstm() -> Built:
    k1, k2, k3 = jax.random.split(jax.random.key(0), 3)
    hidden = problems.LSTM_HIDDEN
    params = {
        "x": dense_init(k1, problems.LSTM_FEATURES, 4 * hidden),
        "h": dense_init(k2, hidden, 4 * hidden)["w"],
        "out": dense_init(k3, hidden, problems.CLASSES),
    }

    def loss(params, batch, key):
        def cell(carry, x):
            h, c = carry
            i, f, g, o = jnp.split(dense(params["x"], x) + h @ params["h"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((len(batch["x"]), hidden))
        (h, _), _ = jax.lax.scan(cell, (zeros, zeros), jnp.swapaxes(batch["x"], 0, 1))
        return cross_entropy(dense(params["out"], h), batch["y"])

    return built("lstm", params, loss, optax.adam(problems.LEARNING_RATE))


def block_init(key, width):
    q, k, v, out, up, down = jax.random.split(key, 6)
    attention = {n: dense_init(a, width, width) for n, a in zip("qkvo", (q, k, v, out), strict=True)}
    mlp = {"up": dense_init(up, width, 4 * width), "down": dense_init(down, 4 * width, width)}
    return {"norm1": norm_init(width), "attention": attention, "norm2": norm_init(width), "mlp": mlp}


def block(p, x, heads):
    h = layer_norm(p["norm1"], x)
    q, k, v = (dense(p["attention"][n], h).reshape(*h.shape[:2], heads, -1) for n in "qkv")
    mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    x = x + dense(p["attention"]["o"], mixed.reshape(x.shape))
    h = jax.nn.gelu(dense(p["mlp"]["up"], layer_norm(p["norm2"], x)))
    return x + dense(p["mlp"]["down"], h)


def decoder(name: str) -> Built:
    size = problems.DECODERS[name]
    k1, k2, k3 = jax.random.split(jax.random.key(0), 3)
    params = {
        "tokens": jax.random.normal(k1, (size.vocab, size.width)) * 0.02,
        "positions": jax.random.normal(k2, (size.tokens, size.width)) * 0.02,
        "blocks": [block_init(k, size.width) for k in jax.random.split(k3, size.layers)],
        "norm": norm_init(size.width),
    }

    def loss(params, batch, key):
        x = params["tokens"][batch["x"]] + params["positions"]
        for p in params["blocks"]:
            x = block(p, x, size.heads)
        return cross_entropy(layer_norm(params["norm"], x) @ params["tokens"].T, batch["y"])

    return built(name, params, loss, optax.adamw(problems.LEARNING_RATE, weight_decay=problems.WEIGHT_DECAY))


def tiny() -> Built:
    *keys, last = jax.random.split(jax.random.key(0), problems.TINY_LAYERS + 1)
    width = problems.TINY_WIDTH
    params = {
        "layers": [{"fc": dense_init(k, width, width), "norm": norm_init(width)} for k in keys],
        "out": dense_init(last, width, problems.CLASSES),
    }

    def loss(params, batch, key):
        h = batch["x"]
        for p in params["layers"]:
            h = jax.nn.relu(layer_norm(p["norm"], dense(p["fc"], h)))
        return cross_entropy(dense(params["out"], h), batch["y"])

    return built("tiny", params, loss, optax.adam(problems.LEARNING_RATE))


WORKLOADS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lstm,
    "gpt": functools.partial(decoder, "gpt"),
    "tiny": tiny,
    "deep": functools.partial(decoder, "deep"),
}
