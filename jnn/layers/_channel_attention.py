"""Attention over channels and places of an image: gates in (0, 1) that scale it. x is (..., y, x, c).

Laws: every gate is computed from the image by itself; the sign of no element changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers._conv import conv, conv_spec
from jnn.layers._linear import linear, linear_spec
from jnn.layers._pool import global_avg_pool, global_max_pool
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Spec


def squeeze_excitation_spec(channels: int, hidden: int, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a squeeze-and-excitation gate.

    Args:
      channels: of the image.
      hidden: features between its two maps, such as channels / 16.
      dtype: of all parameters.

    Returns:
      {"down": {"w": (channels, hidden), "b": (hidden,)}, "up": {"w": (hidden, channels), "b": (channels,)}}

    >>> squeeze_excitation_spec(64, 4)["up"]["w"].shape
    (4, 64)
    """
    return {
        "down": linear_spec(channels, hidden, axes=("channels_in", "hidden"), dtype=dtype),
        "up": linear_spec(hidden, channels, axes=("hidden", "channels_out"), dtype=dtype),
    }


def squeeze_excitation(
    p: dict[str, dict[str, jax.Array]],
    x: jax.Array,
    *,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
    spatial: int = 2,
) -> jax.Array:
    """Squeeze-and-excitation: scales each channel by a gate that sees the means of all channels.

    See "Squeeze-and-Excitation Networks", Hu, Shen and Sun, 2018.

    Args:
      p: as `squeeze_excitation_spec` returns.
      x: (..., *spatial, c), floating point.
      activation: between the two maps.
      spatial: how many spatial axes there are.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p; x has too few axes or is empty.

    >>> p = {"down": {"w": jnp.zeros((3, 1))}, "up": {"w": jnp.zeros((1, 3))}}
    >>> squeeze_excitation(p, jnp.ones((1, 1, 3))).tolist()
    [[[0.5, 0.5, 0.5]]]
    """
    checks.params("squeeze_excitation", p, "down", "up")
    checks.map_parts("squeeze_excitation", p, "down", "up")
    checks.floats("squeeze_excitation", x, ndim=spatial + 1)
    checks.trailing("squeeze_excitation", x, weight_shape(p["down"]["w"])[:1])
    gate = jax.nn.sigmoid(_two_maps(p, global_avg_pool(x, spatial=spatial), activation))
    return x * jnp.expand_dims(gate, range(-1 - spatial, -1)).astype(x.dtype)


def efficient_channel_attention_spec(size: int = 3, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares efficient channel attention: a convolution of this size along the channels, without a bias.

    >>> efficient_channel_attention_spec(5)["w"].shape
    (5, 1, 1)
    """
    return conv_spec(1, 1, (size,), bias=False, dtype=dtype)


def efficient_channel_attention(p: dict[str, jax.Array], x: jax.Array, *, spatial: int = 2) -> jax.Array:
    """Efficient channel attention (ECA): scales each channel by a gate that sees the means of its neighbours.

    See "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", Wang et al., 2020.

    Args:
      p: {"w": (size, 1, 1)}.
      x: (..., *spatial, c), floating point.
      spatial: how many spatial axes there are.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has too few axes or is empty.

    >>> efficient_channel_attention({"w": jnp.zeros((3, 1, 1))}, jnp.ones((1, 1, 2))).tolist()
    [[[0.5, 0.5]]]
    """
    checks.floats("efficient_channel_attention", x, ndim=spatial + 1)
    means = global_avg_pool(x, spatial=spatial)[..., None]
    gate = jax.nn.sigmoid(conv(p, means)[..., 0])
    return x * jnp.expand_dims(gate, range(-1 - spatial, -1)).astype(x.dtype)


def cbam_spec(channels: int, hidden: int, kernel: Sequence[int] = (7, 7), *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a convolutional block attention module.

    Args:
      channels: of the image.
      hidden: features between the two maps of the channels' gate, such as channels / 16.
      kernel: of the convolution of the places' gate, one size per spatial axis.
      dtype: of all parameters.

    Returns:
      {"channel": as `squeeze_excitation_spec`, "place": {"w": (*kernel, 2, 1)}}

    >>> cbam_spec(64, 4)["place"]["w"].shape
    (7, 7, 2, 1)
    """
    return {
        "channel": squeeze_excitation_spec(channels, hidden, dtype=dtype),
        "place": conv_spec(2, 1, kernel, bias=False, dtype=dtype),
    }


def cbam(p: dict[str, Any], x: jax.Array) -> jax.Array:
    """Convolutional block attention module (CBAM): a gate for each channel, and then one for each place.

    See "CBAM: Convolutional Block Attention Module", Woo et al., 2018.

    Args:
      p: as `cbam_spec` returns.
      x: (..., *spatial, c), floating point.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p; x has too few axes or is empty.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), cbam_spec(2, 1))
    >>> cbam(p, jnp.ones((1, 1, 2))).tolist()
    [[[0.25, 0.25]]]
    """
    checks.params("cbam", p, "channel", "place")
    checks.params("cbam", p["channel"], "down", "up", what="params['channel']")
    checks.map_parts("cbam", p["channel"], "down", "up", what="params['channel']")
    checks.map_parts("cbam", p, "place")
    spatial = len(weight_shape(p["place"]["w"])) - 2
    checks.floats("cbam", x, ndim=spatial + 1)
    checks.trailing("cbam", x, weight_shape(p["channel"]["down"]["w"])[:1])
    pooled = (global_avg_pool(x, spatial=spatial), global_max_pool(x, spatial=spatial))
    gate = jax.nn.sigmoid(sum(_two_maps(p["channel"], means, jax.nn.relu) for means in pooled))
    x = x * jnp.expand_dims(gate, range(-1 - spatial, -1)).astype(x.dtype)
    seen = jnp.stack([jnp.mean(x, -1), jnp.max(x, -1)], -1)
    return x * jax.nn.sigmoid(conv(p["place"], seen)).astype(x.dtype)


def _two_maps(
    p: dict[str, dict[str, jax.Array]], x: jax.Array, activation: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    return linear(p["up"], activation(linear(p["down"], x)))
