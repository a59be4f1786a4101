"""Augmentation on the device: images and a key in, images out. Images are `b y x c`.

Laws: the same key gives the same images; dtype in = dtype out, integers included; an image's draw
depends on the key and its place in the batch, not on the batch's size or its other images.
Call it inside the loss, where the step has folded the key: then it is resumed with it, too.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.checks import describe


def random_crop(x: jax.Array, padding: int, *, key: jax.Array | None) -> jax.Array:
    """Pads every image with zeros on all sides and cuts a window of the old size out, anywhere.

    See "Deeply-Supervised Nets", Lee et al., 2015, with 4 pixels for CIFAR-10.

    Args:
      x: (b, y, x, c), any dtype.
      padding: pixels on each side, 0 or more.
      key: a PRNG key, or None for no augmentation.

    Returns:
      x's shape and dtype.

    Raises:
      ValueError: x is not a batch of images, or the padding is negative.

    >>> x = jnp.ones((2, 4, 4, 3), jnp.uint8)
    >>> random_crop(x, 1, key=jax.random.key(0)).shape
    (2, 4, 4, 3)
    """
    _check("random_crop", x)
    if padding < 0:
        raise ValueError(f"random_crop: padding is 0 or more pixels, found {padding}.")
    if key is None:
        return x
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * padding + 1)
    # one slice an image: half the time of gathering by index arrays on CPU, a 25th of selecting among all shifts
    cut = lambda image, corner: jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), x.shape[1:])
    return jax.vmap(cut)(padded, corners)


def random_flip(x: jax.Array, *, key: jax.Array | None) -> jax.Array:
    """Mirrors every image left to right with probability one half.

    See "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky et al., 2012.
    Arguments and errors as `random_crop`.

    >>> x = jnp.arange(8).reshape(4, 1, 2, 1)
    >>> sorted(random_flip(x, key=jax.random.key(0))[0].ravel().tolist())
    [0, 1]
    """
    _check("random_flip", x)
    if key is None:
        return x
    mirrored = jax.random.bernoulli(key, 0.5, (x.shape[0], 1, 1, 1))
    return jnp.where(mirrored, x[:, :, ::-1], x)


def _check(name: str, x: jax.Array) -> None:
    if x.ndim != 4 or x.size == 0:
        raise ValueError(f"{name}: expected a non-empty batch of images [b,y,x,c], found {describe(x)}.")
