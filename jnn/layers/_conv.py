"""Convolution in one, two or three dimensions, channels last: x is (..., *spatial, channels).

Laws: the number of dimensions is the weight's rank less two, and leading axes are free; shifting x by
the stride shifts the output by one (away from the borders, and everywhere if CIRCULAR); with CAUSAL
padding, output t reads no input after t; a bias is added iff `"b" in p`.

As everywhere in deep learning this is cross-correlation: the kernel is not flipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import backend, checks
from jnn.initializers import Init, he_normal, zeros
from jnn.layers._convolve import convolve
from jnn.layers._linear import linear
from jnn.layers._quantized_weight import dequantize_weight
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import BORDERS, Padding, Window, sliding
from jnn.layers.kernels._taps import depthwise_by_taps
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, narrow

PADDINGS = ("SAME", "VALID", "CAUSAL", *BORDERS)
SPATIAL_AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}


def conv_spec(
    c_in: int,
    c_out: int,
    kernel: Sequence[int],
    *,
    groups: int = 1,
    axes: tuple[str, str] = ("channels_in", "channels_out"),
    bias: bool = True,
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a convolution.

    Args:
      c_in: channels of the input.
      c_out: channels of the output.
      kernel: its size along each spatial axis: (3,) for sequences, (3, 3) for images, (3, 3, 3) for volumes.
      groups: channels fall into this many groups that do not mix; give `conv` the same number.
      axes: names of w's channel axes; the others are named among z, y, x.
      bias: whether there is a "b", of shape (c_out,), initially zero.
      init: initial values of w; the default suits a ReLU behind it.
      dtype: of w and b.

    Returns:
      {"w": (*kernel, c_in / groups, c_out), "b": (c_out,)}

    Raises:
      ValueError: groups do not divide the channels, or the kernel is not 1 to 3 positive sizes.

    >>> conv_spec(3, 32, (5, 5))["w"].shape
    (5, 5, 3, 32)
    """
    size = sliding("conv_spec", kernel).size
    if groups < 1 or c_in % groups or c_out % groups:
        raise ValueError(f"conv_spec: {groups} groups do not divide c_in={c_in} and c_out={c_out}.")
    spatial = SPATIAL_AXES[len(size)]
    w = Param((*size, c_in // groups, c_out), init, (*spatial, *axes), dtype, axes[:1], axes[1:], receptive=spatial)
    return {"w": w, "b": Param((c_out,), zeros, axes[1:], dtype)} if bias else {"w": w}


def conv(
    p: Params,
    x: jax.Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolution: slides the kernel w over x and adds b.

    See "Backpropagation Applied to Handwritten Zip Code Recognition", LeCun et al., 1989; dilation:
    "Multi-Scale Context Aggregation by Dilated Convolutions", Yu and Koltun, 2016.

    Args:
      p: {"w": (*kernel, c_in / groups, c_out), "b": (c_out,)}, the bias optional; w may be of `quantize_weight`.
      x: (..., *spatial, c_in), floating point, with one spatial axis per axis of the kernel.
      stride: between windows, one int or one per spatial axis.
      padding: "SAME" (zeros; the output has size ceil(spatial / stride)), "VALID" (none), "CAUSAL" (one
        axis; zeros before it), "CIRCULAR" (the opposite border), "REFLECT" (mirrored at the border), in any case;
        or that many zeros: one int for all sides, one per axis, or (before, after) per axis.
      dilation: between elements of the kernel, one int or one per spatial axis.
      groups: how many groups of channels do not mix.

    Returns:
      (..., *out, c_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels, too few axes, no elements or less room than the kernel; or an
        argument is not one of the above.

    >>> p = {"w": jnp.ones((3, 3, 3, 8))}
    >>> conv(p, jnp.ones((2, 32, 32, 3)), stride=2).shape
    (2, 16, 16, 8)
    """
    checks.params("conv", p, "w", may=("b",), quantized=True)
    checks.array("conv", x)
    x = narrow(x)
    w = dequantize_weight(p["w"], x.dtype)
    window = sliding("conv", w.shape[:-2], stride=stride, padding=padding, dilation=dilation, named=PADDINGS)
    flat, leading = one_batch_axis("conv", x, len(window.size))
    check_channels("conv", w, x, groups)
    y = slide(w, flat, window, groups)
    return add_channels(p, y.reshape(*leading, *y.shape[1:]))


def check_channels(layer: str, w: jax.Array, x: jax.Array, groups: int) -> None:
    """Raises unless x has the input channels of w (*kernel, c_in / groups, c_out), and groups divide c_out."""
    checks.trailing(layer, x, (w.shape[-2] * groups,))
    if w.shape[-1] % groups:
        raise ValueError(f"{layer}: {groups} groups do not divide the {w.shape[-1]} output channels of its parameters.")


def add_channels(p: Params, y: jax.Array) -> jax.Array:
    """y (..., c) plus the bias "b" (c,), iff p has one."""
    return add_bias(y, p["b"]) if "b" in p else y


def slide(w: jax.Array, x: jax.Array, window: Window, groups: int) -> jax.Array:
    """The convolution of x (b, *spatial, c_in), in the formulation that suits this backend."""
    spatial = x.shape[1:-1]
    pads, one, none = window.pads(spatial), (1,) * len(spatial), ((0, 0),) * len(spatial)
    if window.size == window.stride == one and groups == 1 and pads == none and backend.choose("conv_of_one") == "dot":
        return linear({"w": w.reshape(w.shape[-2:])}, x)
    if groups == x.shape[-1] > 1 and backend.choose("conv_depthwise") == "shifts":
        return depthwise_by_taps(w, x, window)
    if window.padding in BORDERS:
        x, pads = window.pad(x), none
    return convolve(x, w, pads, stride=window.stride, spread=one, dilation=window.dilation, groups=groups)
