"""Transposed convolution: what a convolution's gradient does, used as a layer that enlarges.

Laws: each input element adds its multiple of the kernel to the output, `y[stride * i + dilation * k - before] +=
x[i] @ w[k]`; so `conv_transpose` is the transpose of `conv` with the same stride, padding and dilation and with w's
channel axes exchanged: `<conv(x), y> = <x, conv_transpose(y)>`. These are torch's semantics of ConvTranspose, channels
last. Flax's layer of that name flips the kernel instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, he_normal
from jnn.layers._conv import add_channels, check_channels, conv_spec
from jnn.layers._convolve import convolve
from jnn.layers._quantized_weight import dequantize_weight
from jnn.layers._spatial import one_batch_axis, per_axis
from jnn.layers._window import Padding, Window, sliding
from jnn.param import Params, Spec
from jnn.precision import narrow


def conv_transpose_spec(
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
    """Declares a transposed convolution.

    Args:
      c_in: channels of the input.
      c_out: channels of the output.
      kernel: its size along each spatial axis: (3,) for sequences, (3, 3) for images, (3, 3, 3) for volumes.
      groups: channels fall into this many groups that do not mix; give `conv_transpose` the same number.
      axes: names of w's channel axes; the others are named among z, y, x.
      bias: whether there is a "b", of shape (c_out,), initially zero.
      init: initial values of w; the default suits a ReLU behind it.
      dtype: of w and b.

    Returns:
      {"w": (*kernel, c_in / groups, c_out), "b": (c_out,)}: the layout of `conv_spec`.

    >>> conv_transpose_spec(32, 16, (4, 4))["w"].shape
    (4, 4, 32, 16)
    """
    return conv_spec(c_in, c_out, kernel, groups=groups, axes=axes, bias=bias, init=init, dtype=dtype)


def conv_transpose(
    p: Params,
    x: jax.Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Transposed convolution: spreads each element of x over the output by the kernel w, and adds b.

    See "Deconvolutional Networks", Zeiler et al., 2010, and "A Guide to Convolution Arithmetic for Deep
    Learning", Dumoulin and Visin, 2016.

    Args:
      p: {"w": (*kernel, c_in / groups, c_out), "b": (c_out,)}, the bias optional; w may be of `quantize_weight`.
      x: (..., *spatial, c_in), floating point.
      stride: by how much it enlarges, one int or one per spatial axis.
      padding: how much of the full output, (spatial - 1) * stride + dilation * (kernel - 1) + 1, is cut off:
        "SAME" leaves spatial * stride, "VALID" everything, an int cuts all sides alike, pairs (before, after) per axis.
      output_padding: this much more at the end of each axis, less than stride or dilation. It tells apart
        the sizes that a strided convolution maps to one.
      dilation: between elements of the kernel, one int or one per spatial axis.
      groups: how many groups of channels do not mix.

    Returns:
      (..., *out, c_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels, too few axes or no elements; nothing is left of the output; or an
        argument is not one of the above.

    >>> p = {"w": jnp.ones((4, 4, 8, 3))}
    >>> conv_transpose(p, jnp.ones((2, 16, 16, 8)), stride=2).shape
    (2, 32, 32, 3)
    """
    checks.params("conv_transpose", p, "w", may=("b",), quantized=True)
    checks.array("conv_transpose", x)
    x = narrow(x)
    w = dequantize_weight(p["w"], x.dtype)
    window = sliding("conv_transpose", w.shape[:-2], stride=stride, padding=padding, dilation=dilation)
    flat, leading = one_batch_axis("conv_transpose", x, len(window.size))
    check_channels("conv_transpose", w, x, groups)
    more = per_axis("conv_transpose", "output_padding", output_padding, len(window.size), least=0)
    y = convolve(
        flat,
        jnp.flip(w, range(len(window.size))),
        _pads(window, flat.shape[1:-1], more),
        stride=(1,) * len(window.size),
        spread=window.stride,
        dilation=window.dilation,
        groups=groups,
    )
    return add_channels(p, y.reshape(*leading, *y.shape[1:]))


def _pads(window: Window, spatial: Sequence[int], more: Sequence[int]) -> list[tuple[int, int]]:
    """How a stride-1 convolution of the spread-out x pads (or, where negative, cuts) each axis."""
    if any(m >= max(s, d) for m, s, d in zip(more, window.stride, window.dilation, strict=True) if m):
        raise ValueError(
            f"conv_transpose: output_padding {tuple(more)} must be less than the stride {window.stride} or the "
            f"dilation {window.dilation}; to enlarge further, pad the output."
        )
    pads = []
    for n, (before, after), reach, s, m in zip(spatial, _cuts(window), window.extent, window.stride, more, strict=True):
        if (n - 1) * s + reach - before - after + m < 1:
            raise ValueError(f"conv_transpose: padding {window.padding} leaves nothing of input {tuple(spatial)}.")
        pads.append((reach - 1 - before, reach - 1 - after + m))
    return pads


def _cuts(window: Window) -> list[tuple[int, int]]:
    """What comes off (before, after) each axis of the full output."""
    if not isinstance(window.padding, str):
        return list(window.padding)
    if window.padding == "VALID":
        return [(0, 0)] * len(window.size)
    # what "SAME" adds to an input of spatial * stride; a kernel shorter than the stride leaves a gap instead
    excess = [reach - s for reach, s in zip(window.extent, window.stride, strict=True)]
    return [(max(e, 0) // 2, e - max(e, 0) // 2) for e in excess]
