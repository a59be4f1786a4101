"""Layers as they are written by hand: nested dicts, products on whatever shape comes, `lax.conv_general_dilated`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from experiments.benchmarks import problems


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


def batch_norm(p, x):
    """Normalized by the batch, and its statistics."""
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p["scale"] + p["bias"], (mean, var)


def group_norm(p, x, groups):
    h = x.reshape(*x.shape[:3], groups, -1)
    mean, var = h.mean((1, 2, 4), keepdims=True), h.var((1, 2, 4), keepdims=True)
    return ((h - mean) * jax.lax.rsqrt(var + 1e-5)).reshape(x.shape) * p["scale"] + p["bias"]


def kernel_init(key, c_in, c_out, size=3):
    return jax.random.normal(key, (size, size, c_in, c_out)) * (2 / (size * size * c_in)) ** 0.5


def conv_init(key, c_in, c_out, size=3):
    return {"w": kernel_init(key, c_in, c_out, size), "b": jnp.zeros(c_out)}


def convolve(w, x, stride=1, padding="SAME"):
    """Where the kernel has fewer channels than x, in groups."""
    pads = padding if isinstance(padding, str) else [(padding, padding)] * 2
    order, groups = ("NHWC", "HWIO", "NHWC"), x.shape[-1] // w.shape[2]
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), pads, dimension_numbers=order, feature_group_count=groups
    )


def conv(p, x, stride=1, padding="SAME"):
    return convolve(p["w"], x, stride, padding) + p["b"]


def max_pool(x, size=2, padding=0):
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, size, size, 1), (1, 2, 2, 1), pads)


def block_init(key, width):
    q, k, v, out, up, down = jax.random.split(key, 6)
    attention = {n: dense_init(a, width, width) for n, a in zip("qkvo", (q, k, v, out), strict=True)}
    mlp = {"up": dense_init(up, width, 4 * width), "down": dense_init(down, 4 * width, width)}
    return {"norm1": norm_init(width), "attention": attention, "norm2": norm_init(width), "mlp": mlp}


def heads_of(p, x, heads):
    """Queries, keys and values (b, t, heads, head)."""
    h = layer_norm(p["norm1"], x)
    return [dense(p["attention"][n], h).reshape(*h.shape[:2], heads, -1) for n in "qkv"]


def after_attention(p, x, mixed):
    x = x + dense(p["attention"]["o"], mixed.reshape(x.shape))
    h = jax.nn.gelu(dense(p["mlp"]["up"], layer_norm(p["norm2"], x)))
    return x + dense(p["mlp"]["down"], h)


def block(p, x, heads, *, causal):
    return after_attention(p, x, jax.nn.dot_product_attention(*heads_of(p, x, heads), is_causal=causal))


def decoder_init(key, size: problems.Transformer):
    k1, k2, k3 = jax.random.split(key, 3)
    return {
        "tokens": jax.random.normal(k1, (size.vocab, size.width)) * 0.02,
        "positions": jax.random.normal(k2, (size.tokens, size.width)) * 0.02,
        "blocks": [block_init(k, size.width) for k in jax.random.split(k3, size.layers)],
        "norm": norm_init(size.width),
    }


def decoder(params, tokens, heads):
    x = params["tokens"][tokens] + params["positions"]
    for p in params["blocks"]:
        x = block(p, x, heads, causal=True)
    return layer_norm(params["norm"], x) @ params["tokens"].T
