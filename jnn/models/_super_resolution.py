"""Super-resolution: networks that compute on the small image and enlarge it at their end, by sub-pixel convolutions.

    espcn(p, x) -> y        three convolutions
    edsr(p, x) -> y         residual blocks without norms

Laws: how much an image is enlarged, how wide and how deep a network is, is read off the weights; at first all is 0, so
that what is added to another enlargement leaves it as it is; leading axes are free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import lecun_normal, zeros
from jnn.layers import conv, conv_spec, pixel_shuffle, weight_shape
from jnn.param import Params, Spec, stack


def espcn_spec(
    scale: int, *, widths: Sequence[int] = (64, 32), channels: int = 3, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares an ESPCN.

    Args:
      scale: by how much it enlarges.
      widths: of the two hidden layers.
      channels: of the images; 1 in the paper, for luminance.
      dtype: of all.

    Returns:
      {"conv1": {"w", "b"}, "conv2", "out"}, of kernels 5, 3 and 3

    Raises:
      ValueError: there are not two widths, or the scale is below 1.

    >>> espcn_spec(3)["out"]["w"].shape
    (3, 3, 32, 27)
    """
    if len(widths) != 2 or scale < 1:
        raise ValueError(
            f"espcn_spec: expected a scale of 1 or more and two widths, found scale={scale}, widths={tuple(widths)}."
        )
    return {
        "conv1": conv_spec(channels, widths[0], (5, 5), init=lecun_normal, dtype=dtype),
        "conv2": conv_spec(widths[0], widths[1], (3, 3), init=lecun_normal, dtype=dtype),
        "out": conv_spec(widths[1], channels * scale**2, (3, 3), init=zeros, dtype=dtype),
    }


def espcn(p: Params, x: jax.Array) -> jax.Array:
    """ESPCN, efficient sub-pixel convolutional network: two convolutions with tanh, and one that enlarges.

    See "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
    Shi et al., 2016.

    Args:
      p: as `espcn_spec` declares.
      x: (..., y, x, c), floating point.

    Returns:
      (..., y * scale, x * scale, c), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty.

    >>> from jnn.param import abstract
    >>> p, images = abstract(espcn_spec(3)), jax.ShapeDtypeStruct((2, 17, 17, 3), jnp.float32)
    >>> jax.eval_shape(espcn, p, images).shape
    (2, 51, 51, 3)
    """
    checks.params("espcn", p, "conv1", "conv2", "out")
    checks.floats("espcn", x, ndim=3)
    h = jnp.tanh(conv(gather(p["conv1"], "conv1"), x))
    h = jnp.tanh(conv(gather(p["conv2"], "conv2"), h))
    return _enlarged(gather(p["out"], "out"), h, x.shape[-1])


def edsr_spec(
    scale: int, *, blocks: int = 16, width: int = 64, channels: int = 3, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares an EDSR, by default the baseline of the paper; its largest has 32 blocks of width 256.

    Args:
      scale: by how much it enlarges: powers of 2 in steps of 2, anything else in one.
      blocks: how many residual blocks.
      width: channels of all hidden layers.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"w", "b"}, "blocks": {"conv1", "conv2"} (stacked), "last", "enlarge1", ..., "out"}

    Raises:
      ValueError: the scale is below 2.

    >>> sorted(edsr_spec(4))
    ['blocks', 'enlarge1', 'enlarge2', 'last', 'out', 'stem']
    """
    if scale < 2:
        raise ValueError(f"edsr_spec: expected a scale of 2 or more, found {scale}.")
    steps = [2] * (scale.bit_length() - 1) if scale & (scale - 1) == 0 else [scale]
    linear = lambda c_out: conv_spec(width, c_out, (3, 3), init=lecun_normal, dtype=dtype)
    block = {"conv1": conv_spec(width, width, (3, 3), dtype=dtype), "conv2": linear(width)}
    return {
        "stem": conv_spec(channels, width, (3, 3), init=lecun_normal, dtype=dtype),
        "blocks": stack(block, blocks),
        "last": linear(width),
        **{f"enlarge{i}": linear(width * step**2) for i, step in enumerate(steps, 1)},
        "out": conv_spec(width, channels, (3, 3), init=zeros, dtype=dtype),
    }


def edsr(p: Params, x: jax.Array, *, residual_scale: float = 1.0) -> jax.Array:
    """EDSR, enhanced deep residual network for super-resolution: residual blocks without norms, sub-pixel convolutions.

    See "Enhanced Deep Residual Networks for Single Image Super-Resolution", Lim et al., 2017, who take the mean colour
    of their images off x and add it to what comes out.

    Args:
      p: as `edsr_spec` declares.
      x: (..., y, x, c), floating point.
      residual_scale: what each block's branch is multiplied by; 0.1 in the paper's largest.

    Returns:
      (..., y * scale, x * scale, c), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty.

    >>> from jnn.param import abstract
    >>> p, images = abstract(edsr_spec(4)), jax.ShapeDtypeStruct((2, 48, 48, 3), jnp.float32)
    >>> jax.eval_shape(edsr, p, images).shape
    (2, 192, 192, 3)
    """
    checks.params("edsr", p, "stem", "blocks", "last", "enlarge1", "out")
    checks.floats("edsr", x, ndim=3)

    def block(h: jax.Array, own: Params) -> tuple[jax.Array, None]:
        own = gather(own, "blocks")
        branch = conv(own["conv2"], jax.nn.relu(conv(own["conv1"], h)))
        return constrain(h + residual_scale * branch, "y", "x", "channels"), None

    stem = constrain(conv(gather(p["stem"], "stem"), x), "y", "x", "channels")
    h = stem + conv(gather(p["last"], "last"), jax.lax.scan(block, stem, p["blocks"])[0])
    for name in sorted(name for name in p if name.startswith("enlarge")):
        h = constrain(_enlarged(gather(p[name], name), h, stem.shape[-1]), "y", "x", "channels")
    return conv(gather(p["out"], "out"), h)


def _enlarged(p: Params, x: jax.Array, channels: int) -> jax.Array:
    """Sub-pixel convolution: to so many channels of a larger image."""
    checks.params("conv", p, "w", may=("b",), quantized=True)
    return pixel_shuffle(conv(p, x), math.isqrt(weight_shape(p["w"])[-1] // channels))
