"""Smoothing and sharpening. Laws: a blur keeps every channel's mean and a sharpness of 1 the image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data.augment._color import blend
from jnn.data.augment._pixels import (
    Amount,
    check_blendable,
    check_colors,
    check_images,
    check_range,
    per_image,
    restore,
    to_unit,
)
from jnn.param import check_key
from jnn.precision import wide


def gaussian_blur(x: jax.Array, sigma: Amount, *, radius: int) -> jax.Array:
    """Gaussian blur of every image; the edges are mirrored, so that the mean is kept.

    Args:
      x: (b, y, x, c), floating point, or integers of 8 or 16 bits.
      sigma: its standard deviation in pixels, positive; one number or (b,).
      radius: where it is cut off, 1 or more pixels.

    Returns:
      x's shape and dtype; integers are rounded.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, a sigma that is not positive, or a radius below 1.

    >>> x = jnp.zeros((1, 1, 5, 1)).at[0, 0, 2, 0].set(1)
    >>> gaussian_blur(x, 0.5, radius=1).round(2).ravel().tolist()
    [0.0, 0.1..., 0.7..., 0.1..., 0.0]
    """
    check_images("gaussian_blur", x)
    check_blendable("gaussian_blur", x)
    known = not isinstance(sigma, jax.core.Tracer)
    if radius < 1 or (known and not (np.asarray(sigma) > 0).all()):
        raise ValueError(f"gaussian_blur: sigma and radius must be positive, found {sigma}, {radius}.")
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32).reshape(1, 1, 1, -1)
    kernel = jax.nn.softmax(-0.5 * (offsets / per_image("gaussian_blur", sigma, x)) ** 2, -1)
    y = wide(x)
    for axis in (1, 2):
        y = _convolve(y, kernel, axis, radius)
    return restore(y, x)


def _convolve(y: jax.Array, kernel: jax.Array, axis: int, radius: int) -> jax.Array:
    """Along one axis, each image with its own kernel (b, 1, 1, taps): shifted copies, weighed and added."""
    pads = [(radius, radius) if i == axis else (0, 0) for i in range(4)]
    padded, n = jnp.pad(y, pads, mode="symmetric"), y.shape[axis]
    shifted = lambda i: jax.lax.slice_in_dim(padded, i, i + n, axis=axis)
    return sum((shifted(i) * kernel[..., i, None] for i in range(2 * radius + 1)), jnp.zeros_like(y))


def random_blur(
    x: jax.Array, *, key: jax.Array | None, sigma: tuple[float, float] = (0.1, 2.0), radius: int | None = None
) -> jax.Array:
    """Random Gaussian blur: of a width drawn for every image.

    See "A Simple Framework for Contrastive Learning of Visual Representations", Chen et al., 2020,
    which does so to every second image (`sometimes`).

    Args:
      x: (b, y, x, c), floating point, or integers of 8 or 16 bits.
      key: a PRNG key, or None for no augmentation.
      sigma: the least and the greatest standard deviation in pixels, drawn evenly.
      radius: where the Gaussian is cut off; None for a twentieth of the height, as in the paper.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError, ValueError: as `gaussian_blur`; a sigma that is no interval.

    >>> random_blur(jnp.ones((2, 8, 8, 3)), key=jax.random.key(0)).shape
    (2, 8, 8, 3)
    """
    check_images("random_blur", x)
    check_blendable("random_blur", x)
    check_range("random_blur", "sigma", sigma, 1e-3)
    check_key("random_blur", key, optional=True)
    if key is None:
        return x
    drawn = jax.random.uniform(key, (x.shape[0],), minval=sigma[0], maxval=sigma[1])
    return gaussian_blur(x, drawn, radius=max(1, x.shape[1] // 20) if radius is None else radius)


def adjust_sharpness(x: jax.Array, factor: Amount) -> jax.Array:
    """Sharpness: moves every image away from (factor > 1) or towards (< 1) a smoothed copy of itself.

    The copy is that of PIL's `ImageFilter.SMOOTH`, a 3 by 3 mean with the middle counted five times;
    the border stays.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1].
      factor: one number or (b,); 0 gives the copy, 1 the image itself.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or another shape of factor.

    >>> adjust_sharpness(jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1), 0.0)[0, 1, 1].round(2).tolist()
    [0.37999...]
    """
    check_colors("adjust_sharpness", x)
    y = to_unit(x)
    if min(x.shape[1:3]) < 3:  # all border
        return blend("adjust_sharpness", y, y, factor, x)
    around = [y[:, i : i + x.shape[1] - 2, j : j + x.shape[2] - 2] for i in range(3) for j in range(3)]
    smooth = (sum(around, jnp.zeros_like(around[0])) + 4 * around[4]) / 13
    return blend("adjust_sharpness", y.at[:, 1:-1, 1:-1].set(smooth), y, factor, x)
