"""Densely connected network (DenseNet): every layer reads the maps of all layers before it, and adds a few.

Layers differ in how much they read, so they are not scanned: compile time grows with depth.
Laws: as in `_resnet`; what a layer has made is passed on as it is to all behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import avg_pool, batch_norm, batch_norm_spec, conv_spec, dropout, linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec, padded_conv
from jnn.models._residual_stages import head, pooled_stem, stem_stride
from jnn.param import Params, Spec, check_key, path_key

DENSENETS: dict[str, dict[str, Any]] = {  # sizes for `densenet_spec`
    "densenet121": {"depths": (6, 12, 24, 16), "growth": 32, "stem": 64},
    "densenet161": {"depths": (6, 12, 36, 24), "growth": 48, "stem": 96},
    "densenet169": {"depths": (6, 12, 32, 32), "growth": 32, "stem": 64},
    "densenet201": {"depths": (6, 12, 48, 32), "growth": 32, "stem": 64},
}


def densenet_spec(
    depths: Sequence[int],
    growth: int,
    classes: int,
    *,
    stem: int = 64,
    kernel: int = 7,
    bottleneck: int = 4,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a densely connected network with bottlenecks and compression by half (DenseNet-BC).

    Args:
      depths: how many layers each block has.
      growth: how many maps each layer adds.
      classes: how many logits.
      stem: channels of the first convolution.
      kernel: its size: 7 strides and pools, 3 does not.
      bottleneck: how many times `growth` channels the 1x1 convolution of a layer leaves.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "block1": {"layer1": {"unit1": {"norm", "conv"}, "unit2"}, ...}, "transition1":
      {"norm", "conv"}, "block2", ..., "norm", "out"}

    Raises:
      ValueError: a block has no layer.

    >>> densenet_spec(**DENSENETS["densenet121"], classes=1000)["norm"]["scale"].shape
    (1024,)
    """
    if min(depths, default=0) < 1:
        raise ValueError(f"densenet_spec: expected one layer or more in each block, found depths={tuple(depths)}.")

    def unit(c_in: int, c_out: int, k: int) -> Spec:
        conv = conv_spec(c_in, c_out, (k, k), bias=False, dtype=dtype)
        return {"norm": batch_norm_spec(c_in, dtype=dtype), "conv": conv}

    inner = bottleneck * growth
    spec: Spec = {"stem": conv_norm_spec(channels, stem, kernel, dtype=dtype)}
    c = stem
    for i, depth in enumerate(depths, 1):
        widths = range(c, c + depth * growth, growth)
        layers = ({"unit1": unit(width, inner, 1), "unit2": unit(inner, growth, 3)} for width in widths)
        spec[f"block{i}"] = {f"layer{j}": layer for j, layer in enumerate(layers, 1)}
        c += depth * growth
        if i < len(depths):
            spec[f"transition{i}"] = unit(c, c // 2, 1)
            c //= 2
    out = linear_spec(c, classes, axes=("channels", "classes"), dtype=dtype)
    return spec | {"norm": batch_norm_spec(c, dtype=dtype), "out": out}


def densenet(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Densely connected network (DenseNet): `x = concatenate([x, layer(x)])`, in blocks with transitions that halve.

    See "Densely Connected Convolutional Networks", Huang, Liu, van der Maaten and Weinberger, 2017.

    Args:
      p: as `densenet_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout behind each layer.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty.

    >>> from jnn.param import abstract
    >>> p = abstract(densenet_spec((1, 2), 4, 10, stem=8))
    >>> images = jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: densenet(p, x, key=None)[0], p, images).shape
    (8, 10)
    """
    checks.params("densenet", p, "stem", "block1", "norm")
    checks.floats("densenet", x, ndim=3)
    check_key("densenet", key, optional=True)
    stem = gather(p["stem"], "stem")
    h, seen = conv_norm(stem, x, stats and stats["stem"], stride=stem_stride(stem), weight=weight)
    x, told = pooled_stem(stem, jax.nn.relu(h)), {"stem": seen}
    for i in range(1, 1 + sum(name.startswith("block") for name in p)):
        block, between = f"block{i}", f"transition{i}"
        noise = None if key is None else path_key(key, block)
        x, told[block] = _dense_block(p[block], x, stats and stats[block], block, noise, rate, weight)
        if between in p:
            x, told[between] = _unit(gather(p[between], between), x, stats and stats[between], weight)
            x = avg_pool(x, (2, 2))
    x, last = batch_norm(gather(p["norm"], "norm"), x, stats and stats["norm"], weight=weight)
    return head(p, jax.nn.relu(x)), {**told, "norm": last}


def _dense_block(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    path: str,
    key: jax.Array | None,
    rate: float,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    seen: Stats = {}
    for i in range(1, len(p) + 1):
        name = f"layer{i}"
        layer, given, h = gather(p[name], f"{path}/{name}"), stats and stats[name], x
        seen[name] = {}
        for unit in ("unit1", "unit2"):
            h, seen[name][unit] = _unit(layer[unit], h, given and given[unit], weight)
        h = dropout(h, rate, key=None if key is None else path_key(key, name))
        x = constrain(jnp.concatenate([x, h], axis=-1), "y", "x", "channels")
    return x, seen


def _unit(p: Params, x: jax.Array, stats: Stats | None, weight: jax.Array | None) -> tuple[jax.Array, Stats]:
    """Batch norm, ReLU, convolution."""
    h, seen = batch_norm(p["norm"], x, stats and stats["norm"], weight=weight)
    return padded_conv(p["conv"], jax.nn.relu(h)), {"norm": seen}
