"""Tone curves: each channel's colours replaced one by one, `posterize`, `solarize`, `invert`, `equalize`,
`autocontrast`.

Laws: each is a function of a pixel's own channel and, for the last two, of that channel's colours in
the same image; inverting twice is the identity. Images are uint8 in 0..255 or floating point in
[0, 1], of any number of channels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data.augment._pixels import Amount, check_colors, from_unit, per_image, restore, to_unit, white


def invert(x: jax.Array) -> jax.Array:
    """Inversion: white minus every colour.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, or floats outside [0, 1].

    >>> invert(jnp.array([0, 55], jnp.uint8).reshape(1, 1, 2, 1)).ravel().tolist()
    [255, 200]
    """
    check_colors("invert", x)
    return jnp.asarray(white(x), x.dtype) - x


def solarize(x: jax.Array, threshold: Amount) -> jax.Array:
    """Solarization: inverts the colours that are at least `threshold`.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].
      threshold: in x's units, one number or (b,).

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or another shape of threshold.

    >>> solarize(jnp.array([100, 200], jnp.uint8).reshape(1, 1, 2, 1), 128).ravel().tolist()
    [100, 55]
    """
    check_colors("solarize", x)
    return jnp.where(x.astype(jnp.float32) < per_image("solarize", threshold, x), x, invert(x))


def posterize(x: jax.Array, bits: int | jax.Array) -> jax.Array:
    """Posterization: keeps the highest bits of every colour, floats as their nearest of 256.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].
      bits: from 0 (black) to 8, one number or (b,).

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or bits out of range.

    >>> posterize(jnp.array([63, 255], jnp.uint8).reshape(1, 1, 2, 1), 2).ravel().tolist()
    [0, 192]
    """
    check_colors("posterize", x)
    if not isinstance(bits, jax.core.Tracer) and not ((np.asarray(bits) >= 0) & (np.asarray(bits) <= 8)).all():
        raise ValueError(f"posterize: bits lie in 0..8, found {bits}.")
    step = 8 - per_image("posterize", bits, x).astype(jnp.int32)
    return _of_levels((levels_of(x) >> step) << step, x)


def autocontrast(x: jax.Array) -> jax.Array:
    """Autocontrast: stretches each channel's colours so that its darkest is black and its brightest white.

    A channel of one colour stays what it is.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, or floats outside [0, 1].

    >>> autocontrast(jnp.array([50, 60, 100], jnp.uint8).reshape(1, 1, 3, 1)).ravel().tolist()
    [0, 51, 255]
    """
    check_colors("autocontrast", x)
    y = to_unit(x)
    low, high = y.min((1, 2), keepdims=True), y.max((1, 2), keepdims=True)
    stretched = (y - low) / jnp.where(high == low, 1, high - low)
    return from_unit(jnp.where(high == low, y, stretched), x)


def equalize(x: jax.Array) -> jax.Array:
    """Histogram equalization: gives each channel an even histogram, floats as their nearest of 256 colours.

    With the rounding of PIL's `ImageOps.equalize`, which AutoAugment (Cubuk et al., 2019) used. A
    channel of one colour stays what it is.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, or floats outside [0, 1].

    >>> equalize(jnp.array([0, 50, 50, 51] * 255, jnp.uint8).reshape(1, 2, 510, 1)).ravel().tolist()[:4]
    [0, 85, 85, 255]
    """
    check_colors("equalize", x)
    b, height, width, c = x.shape
    levels = jnp.moveaxis(levels_of(x), -1, 1).reshape(b * c, height * width)
    curve = jax.vmap(_equalizing)(jax.vmap(lambda one: jnp.zeros(256, jnp.int32).at[one].add(1))(levels))
    even = jnp.take_along_axis(curve, levels, 1).reshape(b, c, height, width)
    return _of_levels(jnp.moveaxis(even, 1, -1), x)


def _equalizing(counts: jax.Array) -> jax.Array:
    """The new colour of each of 256, from how often each occurs: the share of the darker ones."""
    brightest = jnp.where(counts > 0, jnp.arange(256), 0).max()
    total = counts.sum()
    step = (total - counts[brightest]) // 255
    darker = jnp.cumsum(counts) - counts
    curve = jnp.minimum((step // 2 + darker) // jnp.maximum(step, 1), 255)
    return jnp.where(step == 0, jnp.arange(256), curve)  # too few pixels, or one colour: the identity


def levels_of(x: jax.Array) -> jax.Array:
    """The nearest of 256 colours, int32."""
    return jnp.round(to_unit(x) * 255).astype(jnp.int32)


def _of_levels(levels: jax.Array, like: jax.Array) -> jax.Array:
    return restore(levels.astype(jnp.float32) / 255 * white(like), like)
