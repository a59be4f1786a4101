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
    check_images("random_flip", x)
    if axis not in (1, 2):
        raise ValueError(f"random_flip: axis is 2 (left to right) or 1 (upside down), found {axis}.")
    check_key("random_flip", key, optional=True)
    if key is None:
        return x
    mirrored = jax.random.bernoulli(key, 0.5, (x.shape[0], 1, 1, 1))
    return jnp.where(mirrored, jnp.flip(x, axis), x)
