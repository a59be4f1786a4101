"""Mirror images. Laws: two flips are none; the pixels are permuted, never changed."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.data.augment._pixels import check_images
from jnn.param import check_key


def random_flip(x: jax.Array, *, key: jax.Array | None, axis: int = 2) -> jax.Array:
    """Random flip: mirrors every image with probability one half, left to right.

    See "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky et al., 2012.

    Args:
      x: (b, y, x, c), any dtype.
      key: a PRNG key, or None for no augmentation.
      axis: 2 mirrors left to right, 1 upside down.

    Returns:
      x's shape and dtype.

    Raises:
      ValueError: x is not a batch of images, or another axis.

    >>> x = jnp.arange(8).reshape(4, 1, 2, 1)
    >>> sorted(random_flip(x, key=jax.random.key(0))[0].ravel().tolist())
    [0, 1]
    """
    check_flip("random_flip", x, axis, key)
    if key is None:
        return x
    return flip_some(x, draw_flips(key, x), axis)


def draw_flips(key: jax.Array, x: jax.Array) -> jax.Array:
    """Which images are mirrored, (b,)."""
    return jax.random.bernoulli(key, 0.5, (x.shape[0], 1, 1, 1))[:, 0, 0, 0]


def flip_some(x: jax.Array, mirrored: jax.Array, axis: int) -> jax.Array:
    """The images, and the mirror images of those that are."""
    return jnp.where(mirrored[:, None, None, None], jnp.flip(x, axis), x)


def check_flip(name: str, x: jax.Array, axis: int, key: jax.Array | None) -> None:
    """Raises unless x is a batch of images, and the axis one of theirs."""
    check_images(name, x)
    if axis not in (1, 2):
        raise ValueError(f"{name}: axis is 2 (left to right) or 1 (upside down), found {axis}.")
    check_key(name, key, optional=True)
