"""PixelCNN: the distribution of each pixel's channel from those before it, row by row, by masked convolutions.

Channels of every hidden layer fall into as many groups as an image has channels; group k sees channels up to k of its
own pixel (mask B) or those before k (mask A, the first convolution alone).

Laws: logits of a pixel's channel depend on the pixels above it, on those left of it in its row, and on the channels
before it in the pixel, and on nothing else.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import conv, conv_spec, scan_layers, weight_shape
from jnn.param import Params, Spec, stack


def pixelcnn_spec(
    channels: int, values: int, *, width: int = 128, layers: int = 15, kernel: int = 7, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a PixelCNN.

    Args:
      channels: of the images: 3, or 1.
      values: how many values a channel of a pixel can have, 256 say.
      width: of the residual blocks inside; 2 * width between them. A multiple of channels.
      layers: how many residual blocks there are.
      kernel: of the first convolution; those of the blocks are 3x3.
      dtype: of all.

    Returns:
      {"stem", "blocks": {"narrow", "conv", "widen"} (stacked), "head", "out"}, each {"w", "b"}

    Raises:
      ValueError: channels do not divide width.

    >>> pixelcnn_spec(3, 256, width=126)["out"]["w"].shape
    (1, 1, 252, 768)
    """
    if width % channels:
        raise ValueError(f"pixelcnn_spec: {channels} channels do not divide width={width} into groups.")
    maps = lambda a, b, k: conv_spec(a, b, (k, k), dtype=dtype)
    block = {"narrow": maps(2 * width, width, 1), "conv": maps(width, width, 3), "widen": maps(width, 2 * width, 1)}
    return {
        "stem": maps(channels, 2 * width, kernel),
        "blocks": stack(block, layers),
        "head": maps(2 * width, 2 * width, 1),
        "out": maps(2 * width, channels * values, 1),
    }


def pixelcnn(p: Params, x: jax.Array) -> jax.Array:
    """PixelCNN: logits of the values of every channel of every pixel, each from those before it.

    See "Pixel Recurrent Neural Networks", van den Oord, Kalchbrenner and Kavukcuoglu, 2016.

    Args:
      p: as `pixelcnn_spec` declares.
      x: (..., y, x, c), floating point: the image, such as 0..255 scaled to -1..1.

    Returns:
      (..., y, x, c, values) logits, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty.

    >>> from jnn.param import abstract
    >>> p = abstract(pixelcnn_spec(1, 256))
    >>> jax.eval_shape(pixelcnn, p, jax.ShapeDtypeStruct((8, 28, 28, 1), jnp.float32)).shape
    (8, 28, 28, 1, 256)
    """
    checks.params("pixelcnn", p, "stem", "blocks", "head", "out")
    checks.params("pixelcnn", p["stem"], "w", may=("b",), what="params['stem']")
    checks.floats("pixelcnn", x, ndim=3)
    channels = weight_shape(p["stem"]["w"])[-2]

    def block(p: Params, x: jax.Array, key: jax.Array | None, beside: object) -> jax.Array:
        h = x
        for name in ("narrow", "conv", "widen"):
            h = masked_conv(p[name], jax.nn.relu(h), "B", channels)
        return x + h

    h = masked_conv(gather(p["stem"], "stem"), x, "A", channels)
    h = scan_layers(block, p["blocks"], h, "y", "x", "channels", path="blocks")
    for name in ("head", "out"):
        h = masked_conv(gather(p[name], name), jax.nn.relu(h), "B", channels)
    return h.reshape(*h.shape[:-1], channels, -1)


def masked_conv(p: Params, x: jax.Array, kind: Literal["A", "B"], channels: int = 1) -> jax.Array:
    """Masked convolution: of an image, in which a pixel sees those before it alone, row by row.

    See "Pixel Recurrent Neural Networks", van den Oord, Kalchbrenner and Kavukcuoglu, 2016.

    Args:
      p: {"w": (y, x, c_in, c_out), "b": (c_out,)}, the bias optional, as `conv_spec` declares.
      x: (..., y, x, c_in), floating point.
      kind: "A" hides a pixel's own channel, "B" shows it; the ones before it are seen in any case.
      channels: how many groups the input's and the output's channels fall into, in this order.

    Returns:
      (..., y, x, c_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: kind is neither, or as `conv`.

    >>> x = jnp.arange(4.0).reshape(1, 4, 1)
    >>> masked_conv({"w": jnp.ones((3, 3, 1, 1))}, x, "A").ravel().tolist()
    [0.0, 0.0, 1.0, 2.0]
    """
    if kind not in ("A", "B"):
        raise ValueError(f'masked_conv: expected kind "A" or "B", found {kind!r}.')
    checks.params("masked_conv", p, "w", may=("b",))
    rows, columns, c_in, c_out = p["w"].shape
    group = lambda c: np.arange(c) * channels // c
    before, own = group(c_in)[:, None], group(c_out)[None]
    mask = np.zeros(p["w"].shape, bool)
    mask[: rows // 2] = True
    mask[rows // 2, : columns // 2] = True
    mask[rows // 2, columns // 2] = before < own if kind == "A" else before <= own
    return conv({**p, "w": jnp.where(mask, p["w"], 0)}, x, padding=(rows // 2, columns // 2))
