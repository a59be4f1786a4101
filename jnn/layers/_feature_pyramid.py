"""Features of several scales: pooled into one vector, or handed down to finer maps. Images are (..., y, x, c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal
from jnn.layers._adaptive_pool import adaptive_max_pool
from jnn.layers._conv import conv, conv_spec
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.layers._resize import resize
from jnn.param import Spec


def spatial_pyramid_pool(x: jax.Array, levels: Sequence[int] = (1, 2, 4), *, spatial: int = 2) -> jax.Array:
    """Spatial pyramid pooling: the maxima over finer and finer grids of windows, a vector for images of any size.

    See "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition", He et al., 2014.

    Args:
      x: (..., *spatial, c), floating point.
      levels: windows along each axis, of each grid; at most the image's size.
      spatial: how many spatial axes there are.

    Returns:
      (..., windows of all levels * c), in x's dtype: level by level, row by row, channels last.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, or a level larger than the image.

    >>> spatial_pyramid_pool(jnp.arange(16.0).reshape(4, 4, 1), (1, 2)).tolist()
    [15.0, 5.0, 7.0, 13.0, 15.0]
    """
    checks.floats("spatial_pyramid_pool", x, ndim=spatial + 1)
    leading = x.shape[: x.ndim - spatial - 1]
    return jnp.concatenate([adaptive_max_pool(x, (n,) * spatial).reshape(*leading, -1) for n in levels], -1)


def feature_pyramid_spec(
    channels: Sequence[int],
    c_out: int,
    *,
    kernel: Sequence[int] = (3, 3),
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a feature pyramid network.

    Args:
      channels: of each map that it reads, the finest first.
      c_out: channels of each map that it makes.
      kernel: of the convolution behind each.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"lateral": [{"w": (channels, c_out), "b": (c_out,)}, ...], "out": [{"w": (*kernel, c_out, c_out), "b"}, ...]}

    >>> feature_pyramid_spec((8, 16), 4)["lateral"][1]["w"].shape
    (16, 4)
    """
    axes = ("channels_in", "channels_out")
    return {
        "lateral": [linear_spec(c, c_out, axes=axes, init=init, dtype=dtype) for c in channels],
        "out": [conv_spec(c_out, c_out, kernel, init=init, dtype=dtype) for _ in channels],
    }


def feature_pyramid(p: dict[str, Any], maps: Sequence[jax.Array]) -> list[jax.Array]:
    """Feature pyramid network (FPN): adds to each map what coarser ones know, enlarged to its size.

    See "Feature Pyramid Networks for Object Detection", Lin et al., 2017.

    Args:
      p: as `feature_pyramid_spec` returns.
      maps: (..., *spatial, channels), floating point, the finest first.

    Returns:
      As many maps (..., *spatial, c_out), in their dtypes.

    Raises:
      TypeError: a map is not floating point.
      ValueError: as many maps as p has were expected, or one has other channels.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), feature_pyramid_spec((8, 16), 4))
    >>> [y.shape for y in feature_pyramid(p, [jnp.ones((4, 4, 8)), jnp.ones((2, 2, 16))])]
    [(4, 4, 4), (2, 2, 4)]
    """
    for name in ("lateral", "out"):
        checks.map_parts("feature_pyramid", p[name], *range(len(p[name])), what=f"params[{name!r}]")
    if len(maps) != len(p["lateral"]):
        raise ValueError(f"feature_pyramid: expected {len(p['lateral'])} maps, the finest first; found {len(maps)}.")
    spatial = len(weight_shape(p["out"][0]["w"])) - 2
    merged: list[jax.Array] = []
    for lateral, x in zip(p["lateral"][::-1], maps[::-1], strict=True):
        y = linear(lateral, x)
        if merged:
            y = y + resize(merged[-1], x.shape[-1 - spatial : -1], method="nearest").astype(y.dtype)
        merged.append(y)
    return [conv(out, y) for out, y in zip(p["out"], merged[::-1], strict=True)]
