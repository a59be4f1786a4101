"""Depthwise convolution, one filter per channel, and separable convolution, which mixes the channels after it.

Laws: `depthwise_conv(p, x)` equals `conv(p, x, groups=channels)` with the same params; `separable_conv` equals
one convolution whose kernel is the product of the two; leading axes are free.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, he_normal
from jnn.layers._conv import PADDINGS, add_channels, conv_spec, slide
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import dequantize_weight
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding, sliding
from jnn.param import Params, Spec
from jnn.precision import narrow


def depthwise_conv_spec(
    channels: int,
    kernel: Sequence[int],
    *,
    multiplier: int = 1,
    axes: tuple[str, str] = ("channels_in", "channels_out"),
    bias: bool = True,
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a depthwise convolution: one filter (or `multiplier` filters) per channel.

    Args:
      channels: of the input.
      kernel: its size along each spatial axis, 1 to 3 of them.
      multiplier: filters per channel; the outputs of a channel stand side by side.
      axes, bias, init, dtype: as in `conv_spec`.

    Returns:
      {"w": (*kernel, 1, channels * multiplier), "b": (channels * multiplier,)}

    Raises:
      ValueError: channels or multiplier are not 1 or more, or the kernel is not 1 to 3 positive sizes.

    >>> depthwise_conv_spec(16, (3, 3))["w"].shape
    (3, 3, 1, 16)
    """
    sliding("depthwise_conv_spec", kernel)
    if channels < 1 or multiplier < 1:
        raise ValueError(
            f"depthwise_conv_spec: expected channels and multiplier of 1 or more, found {channels} and {multiplier}."
        )
    return conv_spec(
        channels, channels * multiplier, kernel, groups=channels, axes=axes, bias=bias, init=init, dtype=dtype
    )


def depthwise_conv(
    p: Params,
    x: jax.Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Depthwise convolution: each channel with its own filters.

    See "Rigid-Motion Scattering for Image Classification", Sifre, 2014.

    Args:
      p: {"w": (*kernel, 1, channels * multiplier), "b": (channels * multiplier,)}, the bias optional; w may
        be of `quantize_weight`.
      x: (..., *spatial, channels), floating point.
      stride, padding, dilation: as in `conv`.

    Returns:
      (..., *out, channels * multiplier), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: w holds no whole number of filters for x's channels; otherwise as `conv`.

    >>> depthwise_conv({"w": jnp.ones((3, 3, 1, 8))}, jnp.ones((2, 32, 32, 8))).shape
    (2, 32, 32, 8)
    """
    checks.params("depthwise_conv", p, "w", may=("b",), quantized=True)
    checks.array("depthwise_conv", x)
    x = narrow(x)
    w = dequantize_weight(p["w"], x.dtype)
    window = sliding("depthwise_conv", w.shape[:-2], stride=stride, padding=padding, dilation=dilation, named=PADDINGS)
    flat, leading = one_batch_axis("depthwise_conv", x, len(window.size))
    channels = x.shape[-1]
    if w.shape[-2] != 1 or w.shape[-1] % channels:
        raise ValueError(
            f"depthwise_conv: w {w.shape} does not hold (*kernel, 1, channels * multiplier) for an input of {channels} "
            "channels; declare it by depthwise_conv_spec(channels, kernel)."
        )
    y = slide(w, flat, window, channels)
    return add_channels(p, y.reshape(*leading, *y.shape[1:]))


def separable_conv_spec(
    c_in: int,
    c_out: int,
    kernel: Sequence[int],
    *,
    multiplier: int = 1,
    bias: bool = True,
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a separable convolution: a depthwise one (without bias), and the linear map over channels behind it.

    Args:
      c_in: channels of the input.
      c_out: channels of the output.
      kernel: its size along each spatial axis, 1 to 3 of them.
      multiplier: filters per input channel.
      bias, init, dtype: as in `conv_spec`.

    Returns:
      {"depthwise": {"w": (*kernel, 1, between)}, "pointwise": {"w": (between, c_out), "b": (c_out,)}}, where
      between = c_in * multiplier

    >>> separable_conv_spec(16, 32, (3, 3))["pointwise"]["w"].shape
    (16, 32)
    """
    between = c_in * multiplier
    axes = ("channels_in", "channels_out")
    return {
        "depthwise": depthwise_conv_spec(c_in, kernel, multiplier=multiplier, bias=False, init=init, dtype=dtype),
        "pointwise": linear_spec(between, c_out, axes=axes, bias=bias, init=init, dtype=dtype),
    }


def separable_conv(
    p: dict[str, dict[str, jax.Array]],
    x: jax.Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Separable convolution: each channel with its own filters, then a mix of the channels.

    See "Xception: Deep Learning with Depthwise Separable Convolutions", Chollet, 2017.

    Args:
      p: as `separable_conv_spec` returns.
      x: (..., *spatial, c_in), floating point.
      stride, padding, dilation: of the depthwise part, as in `conv`.

    Returns:
      (..., *out, c_out), in x's dtype.

    Raises:
      As `depthwise_conv`.

    >>> p = {"depthwise": {"w": jnp.ones((3, 3, 1, 8))}, "pointwise": {"w": jnp.ones((8, 5))}}
    >>> separable_conv(p, jnp.ones((2, 32, 32, 8)), stride=2).shape
    (2, 16, 16, 5)
    """
    checks.params("separable_conv", p, "depthwise", "pointwise")
    return linear(p["pointwise"], depthwise_conv(p["depthwise"], x, stride=stride, padding=padding, dilation=dilation))
