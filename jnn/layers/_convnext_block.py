"""ConvNeXt's block: a large depthwise convolution, then a wide map of each place, added to the input.

Laws: no example sees another; with a "layer_scale" of zeros it is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.initializers import Init, constant, truncated_normal
from jnn.layers._depthwise import depthwise_conv, depthwise_conv_spec
from jnn.layers._drop_path import drop_path as dropped
from jnn.layers._linear import linear, linear_spec
from jnn.layers._norm import layer_norm, layer_norm_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Param, Spec
from jnn.precision import over_last_axes, wide

SMALL = truncated_normal(0.02)


def convnext_block_spec(
    channels: int,
    *,
    kernel: Sequence[int] = (7, 7),
    expand: int = 4,
    layer_scale: float = 1e-6,
    init: Init = SMALL,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares ConvNeXt's block.

    Args:
      channels: of input and output.
      kernel: of the depthwise convolution.
      expand: how many times wider it is within.
      layer_scale: initial values of "layer_scale", of what is added to the input.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"depthwise": conv, "norm": layer norm, "up": linear, "down": linear, "layer_scale": (channels,)}

    >>> convnext_block_spec(8)["up"]["w"].shape
    (8, 32)
    """
    wider = channels * expand
    return {
        "depthwise": depthwise_conv_spec(channels, kernel, init=init, dtype=dtype),
        "norm": layer_norm_spec(channels, axes=("channels",), dtype=dtype),
        "up": linear_spec(channels, wider, axes=("channels", "hidden"), init=init, dtype=dtype),
        "down": linear_spec(wider, channels, axes=("hidden", "channels"), init=init, dtype=dtype),
        "layer_scale": Param((channels,), constant(layer_scale), ("channels",), dtype),
    }


def convnext_block(
    p: dict[str, Any], x: jax.Array, *, key: jax.Array | None, drop_path: float = 0.0, epsilon: float = 1e-6
) -> jax.Array:
    """ConvNeXt block: `x + layer_scale * down(gelu(up(norm(depthwise(x)))))`.

    See "A ConvNet for the 2020s", Liu et al., 2022; for layer scale "Going Deeper with Image Transformers", Touvron et
    al., 2021.

    Args:
      p: as `convnext_block_spec` returns, "layer_scale" optional.
      x: (..., *spatial, channels), floating point.
      key: noise for stochastic depth, None for none.
      drop_path: how often an example leaves out what is added to x, as in `drop_path`.
      epsilon: of the norm.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p, or x is empty.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), convnext_block_spec(2))
    >>> convnext_block(p, jnp.ones((1, 1, 2)), key=None).tolist()
    [[[1.0, 1.0]]]
    """
    checks.params("convnext_block", p, "depthwise", "norm", "up", "down", may=("layer_scale",))
    h = layer_norm(p["norm"], depthwise_conv(p["depthwise"], x), epsilon=epsilon)
    h = wide(linear(p["down"], gelu(linear(p["up"], h), approximate=False)))
    if "layer_scale" in p:
        h = h * over_last_axes(p["layer_scale"], h)
    h = dropped(h, drop_path, key=key, in_axes=len(weight_shape(p["depthwise"]["w"])) - 1)
    return (wide(x) + h).astype(x.dtype)
