"""Colours, continuously: each function takes one amount, or one for each image.

    adjust_brightness, adjust_contrast, adjust_saturation (x, factor)      0 removes it, 1 keeps it
    adjust_hue(x, turn)                                                    shares of a full turn
    grayscale(x), color_jitter(x, ..., key=key)

Laws: a neutral amount (factor 1) is the identity; results are clipped to black and white; uint8 is
rounded, not cut. Images are uint8 in 0..255 or floating point in [0, 1], grey or RGB.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data.augment._pixels import Amount, check_bound, check_colors, from_unit, per_image, to_unit
from jnn.param import check_key

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG and PIL


def blend(name: str, other: jax.Array, y: jax.Array, factor: Amount, x: jax.Array) -> jax.Array:
    """From `other` (factor 0) to y, x in unit colours (factor 1), and beyond it; in x's dtype and units."""
    f = per_image(name, factor, x)
    return from_unit((1 - f) * other + f * y, x)  # not other + f * (y - other), which f = 1 would leave inexact


def luma(y: jax.Array) -> jax.Array:
    """The brightness (b, y, x, 1) that the eye sees in a grey or RGB image."""
    return y if y.shape[-1] == 1 else (y * _LUMA.reshape(1, 1, 1, 3)).sum(-1, keepdims=True)


def adjust_brightness(x: jax.Array, factor: Amount) -> jax.Array:
    """Brightness: multiplies every colour by `factor`.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].
      factor: one number or (b,); 0 gives black, 1 the image itself.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or another shape of factor.

    >>> adjust_brightness(jnp.full((1, 1, 1, 3), 100, jnp.uint8), 1.5).ravel().tolist()
    [150, 150, 150]
    """
    check_colors("adjust_brightness", x)
    y = to_unit(x)
    return blend("adjust_brightness", jnp.zeros_like(y), y, factor, x)


def adjust_contrast(x: jax.Array, factor: Amount) -> jax.Array:
    """Contrast: moves every colour away from (factor > 1) or towards (< 1) the image's mean brightness.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey or RGB.
      factor: one number or (b,); 1 gives the image itself.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or another shape of the amount.

    >>> adjust_contrast(jnp.array([0, 200], jnp.uint8).reshape(1, 1, 2, 1), 0.5).ravel().tolist()
    [50, 150]
    """
    check_colors("adjust_contrast", x, rgb=True)
    y = to_unit(x)
    return blend("adjust_contrast", luma(y).mean((1, 2), keepdims=True), y, factor, x)


def adjust_saturation(x: jax.Array, factor: Amount) -> jax.Array:
    """Saturation: moves every colour away from (factor > 1) or towards (< 1) its own grey.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey (and stays what it is) or RGB.
      factor: one number or (b,); 0 gives grey, 1 the image itself.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or another shape of the amount.

    >>> adjust_saturation(jnp.array([0.0, 1.0, 0.0]).reshape(1, 1, 1, 3), 0.0).round(3).ravel().tolist()
    [0.587..., 0.587..., 0.587...]
    """
    check_colors("adjust_saturation", x, rgb=True)
    y = to_unit(x)
    return blend("adjust_saturation", luma(y), y, factor, x)


def grayscale(x: jax.Array) -> jax.Array:
    """Grayscale: every pixel's grey, in as many channels as before.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey (and stays what it is) or RGB.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, or floats outside [0, 1].

    >>> grayscale(jnp.array([255, 0, 0], jnp.uint8).reshape(1, 1, 1, 3)).ravel().tolist()
    [76, 76, 76]
    """
    check_colors("grayscale", x, rgb=True)
    return from_unit(jnp.broadcast_to(luma(to_unit(x)), x.shape), x)


def adjust_hue(x: jax.Array, turn: Amount) -> jax.Array:
    """Hue: turns every colour round the colour circle; a third of a turn takes red to green.

    Works in HSV; see "Color Gamut Transform Pairs", Smith, 1978.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey (and stays what it is) or RGB.
      turn: one number or (b,), in full turns; 0 gives the image itself.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or another shape of the amount.

    >>> adjust_hue(jnp.array([255, 0, 0], jnp.uint8).reshape(1, 1, 1, 3), 1 / 3).ravel().tolist()
    [0, 255, 0]
    """
    check_colors("adjust_hue", x, rgb=True)
    turns = per_image("adjust_hue", turn, x)[..., 0]
    if x.shape[-1] == 1:
        return x
    r, g, b = jnp.moveaxis(to_unit(x), -1, 0)
    value = jnp.maximum(jnp.maximum(r, g), b)
    chroma = value - jnp.minimum(jnp.minimum(r, g), b)
    c = jnp.where(chroma == 0, 1, chroma)  # a grey has no hue, and any hue of chroma 0 gives it back
    # never `value == r`: a compiler may compute r twice, rounded in two ways, and no sector would be the largest's
    red, green = (r >= g) & (r >= b), g >= b
    sector = jnp.where(red, (g - b) / c, jnp.where(green, 2 + (b - r) / c, 4 + (r - g) / c))
    sector = sector + 6 * turns
    channel = lambda n: value - chroma * jnp.clip(_tent((n + sector) % 6), 0, 1)
    return from_unit(jnp.stack([channel(5), channel(3), channel(1)], -1), x)


def _tent(k: jax.Array) -> jax.Array:
    """How far a channel is below the value, in chromas, k sixths of a turn from where it begins to fall."""
    return jnp.minimum(k, 4 - k)


def color_jitter(
    x: jax.Array,
    *,
    key: jax.Array | None,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> jax.Array:
    """Color jitter: brightness, contrast, saturation and hue, in this order, by amounts drawn for every image.

    See "A Simple Framework for Contrastive Learning of Visual Representations", Chen et al., 2020,
    which draws the order too, and applies it to 8 images of 10 (`sometimes`).

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey or RGB.
      key: a PRNG key, or None for no augmentation.
      brightness, contrast, saturation: s draws the factor evenly from [max(0, 1 - s), 1 + s].
      hue: the greatest turn either way, at most a half.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or amounts out of range.

    >>> x = jnp.zeros((2, 4, 4, 3))
    >>> color_jitter(x, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, key=jax.random.key(0)).shape
    (2, 4, 4, 3)
    """
    check_colors("color_jitter", x, rgb=True)
    for what, most in {"brightness": brightness, "contrast": contrast, "saturation": saturation}.items():
        check_bound("color_jitter", what, most)
    check_bound("color_jitter", "hue", hue, 0.5)
    check_key("color_jitter", key, optional=True)
    if key is None:
        return x
    keys = jax.random.split(key, 4)
    draw = lambda i, low, high: jax.random.uniform(keys[i], (x.shape[0],), minval=low, maxval=high)
    adjust = (adjust_brightness, adjust_contrast, adjust_saturation)
    for i, (change, most) in enumerate(zip(adjust, (brightness, contrast, saturation), strict=True)):
        x = change(x, draw(i, max(0.0, 1 - most), 1 + most)) if most else x
    return adjust_hue(x, draw(3, -hue, hue)) if hue else x
