"""DCGAN: a generator of images from noise, and a discriminator of images, both of convolutions alone.

    dcgan_generator(p, z, stats) -> (images, stats)
    dcgan_discriminator(p, x, stats) -> (logits, stats)

Laws: as many layers as p holds; each doubles, or halves, the image; given the statistics that a batch had, the output
is the same, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import normal
from jnn.layers import (
    batch_norm,
    batch_norm_spec,
    conv,
    conv_spec,
    conv_transpose,
    conv_transpose_spec,
    weight_shape,
)
from jnn.models._conv_norm import Stats
from jnn.param import Params, Spec

SMALL = normal(0.02)


def dcgan_generator_spec(
    latent: int = 100,
    widths: Sequence[int] = (512, 256, 128, 64),
    *,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares DCGAN's generator of images of 4 * 2 ** len(widths) pixels a side.

    Args:
      latent: how many numbers an image is made of.
      widths: channels of each layer but the last, whose image is 4 x 4 at first.
      channels: of the images.
      dtype: of all.

    Returns:
      {"layer1": {"conv", "norm"}, ..., and the last of them {"conv"}}

    >>> sorted(dcgan_generator_spec())
    ['layer1', 'layer2', 'layer3', 'layer4', 'layer5']
    """
    sizes = zip((latent, *widths), (*widths, channels), strict=True)
    convolutions = [conv_transpose_spec(a, b, (4, 4), bias=False, init=SMALL, dtype=dtype) for a, b in sizes]
    return _layers(convolutions, (*widths, None), dtype)


def dcgan_generator(
    p: Params, z: jax.Array, stats: Stats | None = None, *, weight: jax.Array | None = None
) -> tuple[jax.Array, Stats]:
    """DCGAN generator: transposed convolutions with batch norm and ReLU, from noise to an image.

    See "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", Radford, Metz
    and Chintala, 2016.

    Args:
      p: as `dcgan_generator_spec` declares.
      z: (..., latent), floating point; noise, normal or uniform.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., y, x, channels), in -1..1 and z's dtype; and the statistics used.

    Raises:
      TypeError: z is not floating point.
      ValueError: z is not of the size that p was declared for, or empty.

    >>> from jnn.param import abstract
    >>> p = abstract(dcgan_generator_spec())
    >>> jax.eval_shape(dcgan_generator, p, jax.ShapeDtypeStruct((8, 100), jnp.float32))[0].shape
    (8, 64, 64, 3)
    """
    checks.params("dcgan_generator", p, "layer1")
    checks.floats("dcgan_generator", z)
    h, seen = z[..., None, None, :], {}
    for i in range(1, len(p) + 1):
        name, stride, padding = f"layer{i}", *((1, 0) if i == 1 else (2, 1))
        layer = gather(p[name], name)
        h = conv_transpose(layer["conv"], h, stride=stride, padding=padding)
        if "norm" in layer:
            h, told = batch_norm(layer["norm"], h, stats and stats[name]["norm"], weight=weight)
            h, seen[name] = constrain(jax.nn.relu(h), "y", "x", "channels"), {"norm": told}
    return jnp.tanh(h), seen


def dcgan_discriminator_spec(
    widths: Sequence[int] = (64, 128, 256, 512), *, channels: int = 3, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares DCGAN's discriminator of images of 4 * 2 ** len(widths) pixels a side.

    Args:
      widths: channels of each layer but the last, whose input is 4 x 4.
      channels: of the images.
      dtype: of all.

    Returns:
      {"layer1": {"conv"}, "layer2": {"conv", "norm"}, ..., and the last of them {"conv"}}

    >>> sorted(dcgan_discriminator_spec()["layer1"])
    ['conv']
    """
    sizes = zip((channels, *widths), (*widths, 1), strict=True)
    convolutions = [conv_spec(a, b, (4, 4), bias=False, init=SMALL, dtype=dtype) for a, b in sizes]
    return _layers(convolutions, (None, *widths[1:], None), dtype)


def dcgan_discriminator(
    p: Params, x: jax.Array, stats: Stats | None = None, *, weight: jax.Array | None = None
) -> tuple[jax.Array, Stats]:
    """DCGAN discriminator: strided convolutions with batch norm and leaky ReLU, from an image to one logit.

    Args:
      p: as `dcgan_discriminator_spec` declares.
      x: (..., y, x, c), floating point.
      stats, weight: as in `dcgan_generator`.

    Returns:
      (...) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not of the size or channels that p was declared for, or empty.

    >>> from jnn.param import abstract
    >>> p = abstract(dcgan_discriminator_spec())
    >>> jax.eval_shape(dcgan_discriminator, p, jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.float32))[0].shape
    (8,)
    """
    checks.params("dcgan_discriminator", p, "layer1")
    checks.floats("dcgan_discriminator", x, ndim=3)
    checks.params("dcgan_discriminator", p["layer1"]["conv"], "w", what="params['layer1']['conv']", quantized=True)
    side = 4 * 2 ** (len(p) - 1)
    checks.trailing("dcgan_discriminator", x, (side, side, weight_shape(p["layer1"]["conv"]["w"])[-2]))
    seen: Stats = {}
    for i in range(1, len(p) + 1):
        name, stride, padding = f"layer{i}", *((1, 0) if i == len(p) else (2, 1))
        layer = gather(p[name], name)
        x = conv(layer["conv"], x, stride=stride, padding=padding)
        if "norm" in layer:
            x, told = batch_norm(layer["norm"], x, stats and stats[name]["norm"], weight=weight)
            seen[name] = {"norm": told}
        if i < len(p):
            x = constrain(jax.nn.leaky_relu(x, 0.2), "y", "x", "channels")
    return x[..., 0, 0, 0], seen


def _layers(convolutions: Sequence[Spec], norms: Sequence[int | None], dtype: DTypeLike) -> Spec:
    """{"layer1": ...}: each convolution, with a norm of so many channels behind it, or none."""
    return {
        f"layer{i}": {"conv": conv} | ({} if c is None else {"norm": batch_norm_spec(c, dtype=dtype)})
        for i, (conv, c) in enumerate(zip(convolutions, norms, strict=True), 1)
    }
