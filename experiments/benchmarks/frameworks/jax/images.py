"""Networks of images in plain JAX: MobileNetV2's blocks, ResNet-18, ViT and DDPM's U-Net."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.jax.layers import (
    batch_norm,
    block,
    block_init,
    conv,
    conv_init,
    convolve,
    dense,
    dense_init,
    group_norm,
    kernel_init,
    layer_norm,
    max_pool,
    norm_init,
)
from experiments.benchmarks.frameworks.jax.training import Network


def keys_of(key: jax.Array):
    """Endless keys."""
    while True:
        key, one = jax.random.split(key)
        yield one


def unit_init(key, c_in, c_out, size=3):
    return {"w": kernel_init(key, c_in, c_out, size), "norm": norm_init(c_out)}


def unit(p, x, seen, stride=1):
    """A convolution and batch norm, whose statistics it puts on a list."""
    h, stats = batch_norm(p["norm"], convolve(p["w"], x, stride, p["w"].shape[0] // 2))
    seen.append(stats)
    return h


def mobilenet(key: jax.Array) -> Network:
    size, keys, c, blocks = problems.MOBILENET, keys_of(key), problems.MOBILENET.stem, []
    for width in size.widths:
        wide = size.widen * c
        shapes = {"expand": (c, wide, 1), "depthwise": (1, wide, 3), "project": (wide, width, 1)}
        blocks.append({name: unit_init(next(keys), *shape) for name, shape in shapes.items()})
        c = width
    ends = {"stem": unit_init(next(keys), 3, size.stem), "last": unit_init(next(keys), c, size.last, 1)}
    params = {**ends, "blocks": blocks, "out": dense_init(next(keys), size.last, problems.CLASSES)}

    def apply(params, x, key):
        seen = []
        x = jax.nn.relu6(unit(params["stem"], x, seen))
        for p, stride in zip(params["blocks"], size.strides, strict=True):
            h = jax.nn.relu6(unit(p["expand"], x, seen))
            h = jax.nn.relu6(unit(p["depthwise"], h, seen, stride))
            h = unit(p["project"], h, seen)
            x = x + h if x.shape == h.shape else h
        x = jax.nn.relu6(unit(params["last"], x, seen))
        return dense(params["out"], x.mean((1, 2))), seen

    return Network(params, apply, norms=True)


def resnet(key: jax.Array) -> Network:
    size, keys, c, blocks = problems.RESNET, keys_of(key), problems.RESNET.widths[0], []
    stem = unit_init(next(keys), 3, c, 7)
    for width, _ in size.blocks:
        p = {"unit1": unit_init(next(keys), c, width), "unit2": unit_init(next(keys), width, width)}
        blocks.append(p | ({"shortcut": unit_init(next(keys), c, width, 1)} if c != width else {}))
        c = width
    params = {"stem": stem, "blocks": blocks, "out": dense_init(next(keys), c, problems.CLASSES)}

    def apply(params, x, key):
        seen = []
        x = max_pool(jax.nn.relu(unit(params["stem"], x, seen, 2)), 3, 1)
        for p, (_, stride) in zip(params["blocks"], size.blocks, strict=True):
            h = unit(p["unit2"], jax.nn.relu(unit(p["unit1"], x, seen, stride)), seen)
            x = jax.nn.relu(h + (unit(p["shortcut"], x, seen, stride) if "shortcut" in p else x))
        return dense(params["out"], x.mean((1, 2))), seen

    return Network(params, apply, norms=True)


def vit(key: jax.Array) -> Network:
    size, patch, keys = problems.VIT, problems.PATCH, keys_of(key)
    params = {
        "patch": conv_init(next(keys), problems.PROBLEMS["vit"].shape[-1], size.width, patch),
        "class": jnp.zeros(size.width),
        "positions": jax.random.normal(next(keys), (size.tokens + 1, size.width)) * 0.02,
        "blocks": [block_init(next(keys), size.width) for _ in range(size.layers)],
        "norm": norm_init(size.width),
        "out": dense_init(next(keys), size.width, problems.CLASSES),
    }

    def apply(params, x, key):
        h = conv(params["patch"], x, patch, "VALID").reshape(len(x), -1, size.width)
        first = jnp.broadcast_to(params["class"], (len(x), 1, size.width))
        h = jnp.concatenate([first, h], 1) + params["positions"]
        for p in params["blocks"]:
            h = block(p, h, size.heads, causal=False)
        return dense(params["out"], layer_norm(params["norm"], h)[:, 0])

    return Network(params, apply)


def unet_block_init(keys, a, b, time, attends=False):
    p = {"norm1": norm_init(a), "conv1": conv_init(next(keys), a, b), "time": dense_init(next(keys), time, b)}
    p |= {"norm2": norm_init(b), "conv2": jax.tree.map(jnp.zeros_like, conv_init(next(keys), b, b))}
    p |= {"shortcut": conv_init(next(keys), a, b, 1)} if a != b else {}
    if attends:
        p |= {"norm": norm_init(b), **{name: dense_init(next(keys), b, b) for name in "qkvo"}}
    return p


def unet_block(p, x, now):
    groups = problems.UNET_GROUPS
    h = conv(p["conv1"], jax.nn.silu(group_norm(p["norm1"], x, groups))) + dense(p["time"], now)[:, None, None]
    h = conv(p["conv2"], jax.nn.silu(group_norm(p["norm2"], h, groups)))
    x = (conv(p["shortcut"], x) if "shortcut" in p else x) + h
    if "q" not in p:
        return x
    h = group_norm(p["norm"], x, groups).reshape(len(x), -1, 1, x.shape[-1])
    mixed = jax.nn.dot_product_attention(*(dense(p[name], h) for name in "qkv"))
    return x + dense(p["o"], mixed).reshape(x.shape)


def diffusion(key: jax.Array) -> Network:
    (a, b), keys, channels = problems.UNET_WIDTHS, keys_of(key), problems.PROBLEMS["diffusion"].shape[-1]
    one = lambda c_in, c_out, attends=False: unet_block_init(keys, c_in, c_out, 4 * a, attends)
    params = {
        "time": [dense_init(next(keys), a, 4 * a), dense_init(next(keys), 4 * a, 4 * a)],
        "stem": conv_init(next(keys), channels, a),
        "down": [one(a, a), one(a, b, True)],
        "shrink": conv_init(next(keys), a, a),
        "middle": [one(b, b, True), one(b, b)],
        "up": [one(2 * b, b, True), one(a + b, b, True), one(a + b, a), one(2 * a, a)],
        "enlarge": conv_init(next(keys), b, b),
        "norm": norm_init(a),
        "out": jax.tree.map(jnp.zeros_like, conv_init(next(keys), a, channels)),
    }

    def apply(p, x, t, key):
        angles = t[:, None] * 10_000.0 ** -jnp.linspace(0, 1, a // 2, endpoint=False)
        now = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        now = jax.nn.silu(dense(p["time"][1], jax.nn.silu(dense(p["time"][0], now))))
        stem = conv(p["stem"], x)
        large = unet_block(p["down"][0], stem, now)
        small = conv(p["shrink"], large, 2)
        low = unet_block(p["down"][1], small, now)
        h = unet_block(p["middle"][1], unet_block(p["middle"][0], low, now), now)
        for up, kept in zip(p["up"], (low, small, large, stem), strict=True):
            if kept is large:
                h = conv(p["enlarge"], jnp.repeat(jnp.repeat(h, 2, 1), 2, 2))
            h = unet_block(up, jnp.concatenate([h, kept], -1), now)
        return conv(p["out"], jax.nn.silu(group_norm(p["norm"], h, problems.UNET_GROUPS)))

    return Network(params, apply)
