"""Rectangles painted over. Law: what lies outside of the rectangle stays, bit for bit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data.augment._pixels import check_bound, check_fill, check_images, check_range
from jnn.data.augment._window import draw_window, rectangle
from jnn.param import check_key


def cutout(x: jax.Array, size: int, *, key: jax.Array | None, fill: float = 0.0) -> jax.Array:
    """Cutout: paints a square over every image, centred on any pixel: at the edge it is only partly inside.

    See "Improved Regularization of Convolutional Neural Networks with Cutout", DeVries and Taylor, 2017,
    with 16 pixels for CIFAR-10.

    Args:
      x: (b, y, x, c), any dtype.
      size: of the square's sides in pixels, 1 or more.
      key: a PRNG key, or None for no augmentation.
      fill: its colour, in x's units.

    Returns:
      x's shape and dtype.

    Raises:
      ValueError: x is not a batch of images, a size below 1, or a fill that x cannot hold.

    >>> int(cutout(jnp.ones((1, 5, 5, 1), jnp.uint8), 1, key=jax.random.key(0)).sum())
    24
    """
    check_images("cutout", x)
    check_fill("cutout", x, fill)
    if size < 1:
        raise ValueError(f"cutout: size is 1 or more pixels, found {size}.")
    check_key("cutout", key, optional=True)
    if key is None:
        return x
    centers = jax.random.randint(key, (x.shape[0], 2), 0, np.array(x.shape[1:3]).reshape(1, 2))
    top, left = centers[:, 0] - size // 2, centers[:, 1] - size // 2
    inside = rectangle(top, top + size, left, left + size, (x.shape[1], x.shape[2]))
    return jnp.where(inside, jnp.asarray(fill, x.dtype), x)


def random_erasing(
    x: jax.Array,
    *,
    key: jax.Array | None,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
    fill: float = 0.0,
) -> jax.Array:
    """Random erasing: paints a rectangle of random area, shape and place over some images, always wholly inside.

    See "Random Erasing Data Augmentation", Zhong et al., 2020.

    Args:
      x: (b, y, x, c), any dtype.
      key: a PRNG key, or None for no augmentation.
      probability: of an image's being painted over.
      area: the least and the greatest share of the image's area, drawn evenly.
      ratio: the least and the greatest width over height, drawn evenly in its logarithm.
      fill: the colour, in x's units.

    Returns:
      x's shape and dtype.

    Raises:
      ValueError: x is not a batch of images, amounts out of range, or a fill that x cannot hold.

    >>> random_erasing(jnp.ones((2, 8, 8, 3)), key=jax.random.key(0)).shape
    (2, 8, 8, 3)
    """
    check_images("random_erasing", x)
    check_fill("random_erasing", x, fill)
    check_bound("random_erasing", "probability", probability, 1)
    check_range("random_erasing", "area", area, 0, 1)
    check_range("random_erasing", "ratio", ratio, 1e-3)
    check_key("random_erasing", key, optional=True)
    if key is None:
        return x
    choose, where = jax.random.split(key)
    size = (x.shape[1], x.shape[2])
    top, left, height, width = (jnp.round(a) for a in draw_window(where, x.shape[0], size, area, ratio))
    inside = rectangle(top, top + height, left, left + width, size)
    chosen = jax.random.bernoulli(choose, float(probability), (x.shape[0], 1, 1, 1))
    return jnp.where(inside & chosen, jnp.asarray(fill, x.dtype), x)
