"""U-Net for diffusion (DDPM): residual blocks that know the time, with attention on small images.

    diffusion_unet(p, x, t, key=key) -> what was predicted of each pixel: the noise, say

Params say what is computed: a block attends iff it has "attend", and what is normalized by groups is never seen by
another example. Laws: the output is as large as the image; leading axes are free; `key=None` is silent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import Init, lecun_normal, zeros
from jnn.layers import (
    attention,
    attention_spec,
    conv,
    conv_spec,
    dropout,
    group_norm,
    group_norm_spec,
    linear,
    linear_spec,
    rotary_rates,
    weight_shape,
)
from jnn.models._unet import check_halved
from jnn.param import Params, Spec, check_key, path_key
from jnn.precision import wide_dtype


def diffusion_unet_spec(
    widths: Sequence[int],
    *,
    blocks: int = 2,
    attend: Collection[int] = (2,),
    channels: int = 3,
    channels_out: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a U-Net for diffusion; the paper's for CIFAR-10 has widths (128, 256, 256, 256).

    Args:
      widths: channels of each level, from the whole image to the smallest.
      blocks: residual blocks of each level on the way down; there is one more on the way up.
      attend: the levels, counted from 1, whose blocks attend.
      channels: of the images.
      channels_out: of what is predicted; as channels by default.
      dtype: of all.

    Returns:
      {"time": {"fc1", "fc2"}, "stem", "down1": {"block1", ..., "shrink" (but on the last level)}, ..., "middle":
      {"block1", "block2"}, "up1": {"block1", ..., "enlarge" (but on the first level)}, ..., "norm", "out"}, where a
      block is {"norm1", "conv1", "time", "norm2", "conv2", "shortcut" (where it widens), "attend": {"norm",
      "attention"} (where it attends)}

    >>> diffusion_unet_spec((128, 256, 256, 256))["up1"]["block1"]["conv1"]["w"].shape
    (3, 3, 384, 128)
    """
    first, time = widths[0], 4 * widths[0]

    def kernel(a: int, b: int, k: int = 3, init: Init = lecun_normal) -> Spec:
        return conv_spec(a, b, (k, k), init=init, dtype=dtype)

    def block(a: int, b: int, attends: bool) -> Spec:
        to = linear_spec(time, b, axes=("time_embed", "channels"), dtype=dtype)
        spec = {"norm1": group_norm_spec(a, dtype=dtype), "conv1": kernel(a, b), "time": to}
        spec |= {"norm2": group_norm_spec(b, dtype=dtype), "conv2": kernel(b, b, init=zeros)}
        spec |= {"shortcut": kernel(a, b, 1)} if a != b else {}
        own = {"norm": group_norm_spec(b, dtype=dtype), "attention": attention_spec(b, 1, out_init=zeros, dtype=dtype)}
        return spec | ({"attend": own} if attends else {})

    spec: Spec = {"stem": kernel(channels, first)}
    kept, c = [first], first
    for level, width in enumerate(widths, 1):
        down = {}
        for i in range(blocks):
            down[f"block{i + 1}"], c = block(c, width, level in attend), width
            kept.append(c)
        if level < len(widths):
            down["shrink"] = kernel(c, c)
            kept.append(c)
        spec[f"down{level}"] = down
    spec["middle"] = {"block1": block(c, c, True), "block2": block(c, c, False)}
    for level in range(len(widths), 0, -1):
        up = {}
        for i in range(blocks + 1):
            up[f"block{i + 1}"] = block(c + kept.pop(), widths[level - 1], level in attend)
            c = widths[level - 1]
        spec[f"up{level}"] = up | ({"enlarge": kernel(c, c)} if level > 1 else {})
    fc1 = linear_spec(first, time, axes=("channels", "time_embed"), dtype=dtype)
    spec["time"] = {"fc1": fc1, "fc2": linear_spec(time, time, axes=("hidden", "time_embed"), dtype=dtype)}
    out = kernel(first, channels if channels_out is None else channels_out, init=zeros)
    return spec | {"norm": group_norm_spec(first, dtype=dtype), "out": out}


def diffusion_unet(
    p: Params, x: jax.Array, t: jax.Array, *, key: jax.Array | None, rate: float = 0.0, groups: int = 32
) -> jax.Array:
    """Diffusion U-Net: what is predicted of each pixel of an image with noise of time t.

    See "Denoising Diffusion Probabilistic Models", Ho, Jain and Abbeel, 2020.

    Args:
      p: as `diffusion_unet_spec` declares.
      x: (..., y, x, c), floating point; y and x divide by 2 for each level but the first.
      t: (...), the time of each image, in units of steps: integers, or numbers between them.
      key: noise for dropout, None for none.
      rate: of dropout in each block.
      groups: of the group norms; they divide all channels.

    Returns:
      (..., y, x, channels_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is not to be halved so often; t is not one number of
        each image.

    >>> from jnn.param import abstract
    >>> p = abstract(diffusion_unet_spec((128, 256, 256, 256)))
    >>> images, t = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32), jax.ShapeDtypeStruct((8,), jnp.int32)
    >>> jax.eval_shape(lambda *args: diffusion_unet(*args, key=None), p, images, t).shape
    (8, 32, 32, 3)
    """
    checks.params("diffusion_unet", p, "time", "stem", "middle", "norm", "out")
    checks.params("diffusion_unet", p["time"]["fc1"], "w", may=("b",), what="params['time']['fc1']")
    checks.floats("diffusion_unet", x, ndim=3)
    checks.array("diffusion_unet", t, "t")
    check_key("diffusion_unet", key, optional=True)
    levels = sum(name.startswith("down") for name in p)
    check_halved("diffusion_unet", x, levels - 1)
    if t.shape != x.shape[:-3]:
        raise ValueError(
            f"diffusion_unet: expected t {x.shape[:-3]}, one time an image, found {checks.describe(t)}. For one time "
            "of all, type jnp.full(x.shape[:-3], t)."
        )
    now = time_embedding(t, weight_shape(p["time"]["fc1"]["w"])[0], wide_dtype(x)).astype(x.dtype)
    clock = gather(p["time"], "time")
    now = jax.nn.silu(linear(clock["fc2"], jax.nn.silu(linear(clock["fc1"], now))))

    def block(path: str, x: jax.Array) -> jax.Array:
        part, name = path.split("/")
        noise = None if key is None else path_key(key, path)
        return _block(gather(p[part][name], path), x, now, noise, rate, groups)

    x = conv(gather(p["stem"], "stem"), x)
    kept = [x]
    for level in range(1, levels + 1):
        part = f"down{level}"
        for i in range(1, 1 + _blocks(p[part])):
            kept.append(x := block(f"{part}/block{i}", x))
        if "shrink" in p[part]:
            kept.append(x := conv(gather(p[part]["shrink"], f"{part}/shrink"), x, stride=2))
    x = block("middle/block2", block("middle/block1", x))
    for level in range(levels, 0, -1):
        part = f"up{level}"
        for i in range(1, 1 + _blocks(p[part])):
            x = block(f"{part}/block{i}", jnp.concatenate([x, kept.pop()], axis=-1))
        if "enlarge" in p[part]:
            x = conv(gather(p[part]["enlarge"], f"{part}/enlarge"), _twice_as_large(x))
    h = jax.nn.silu(group_norm(gather(p["norm"], "norm"), x, groups))
    return conv(gather(p["out"], "out"), h)


def time_embedding(t: jax.Array, d: int, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Time embedding: sines and cosines of d/2 wavelengths, of integers or of numbers between them.

    See "Denoising Diffusion Probabilistic Models", Ho, Jain and Abbeel, 2020.

    Args:
      t: (...), the times.
      d: how many features; even.
      dtype: in which it is computed.

    Returns:
      (..., d) in dtype: d/2 sines, then d/2 cosines.

    Raises:
      ValueError: d is odd.

    >>> time_embedding(jnp.zeros(3), 4).tolist()[0]
    [0.0, 0.0, 1.0, 1.0]
    """
    if d < 2 or d % 2:
        raise ValueError(f"time_embedding: pairs of features need an even size, found {d}.")
    rates = jnp.asarray(rotary_rates(d), dtype)
    angles = t[..., None].astype(dtype) * rates.reshape((1,) * t.ndim + rates.shape)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def _block(p: Params, x: jax.Array, now: jax.Array, key: jax.Array | None, rate: float, groups: int) -> jax.Array:
    """Two convolutions, the time added between them; then attention between pixels."""
    h = conv(p["conv1"], jax.nn.silu(group_norm(p["norm1"], x, groups)))
    h = h + linear(p["time"], now)[..., None, None, :]
    h = dropout(jax.nn.silu(group_norm(p["norm2"], h, groups)), rate, key=key)
    x = (conv(p["shortcut"], x) if "shortcut" in p else x) + conv(p["conv2"], h)
    if "attend" not in p:
        return constrain(x, "y", "x", "channels")
    h = group_norm(p["attend"]["norm"], x, groups)
    pixels = h.reshape(*h.shape[:-3], -1, h.shape[-1])
    return constrain(x + attention(p["attend"]["attention"], pixels).reshape(x.shape), "y", "x", "channels")


def _blocks(p: Params) -> int:
    return sum(name.startswith("block") for name in p)


def _twice_as_large(x: jax.Array) -> jax.Array:
    """Each pixel (..., y, x, c) as a square of four."""
    return jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)
