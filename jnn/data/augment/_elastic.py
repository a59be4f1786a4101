"""Elastic deformation: pixels move at random, neighbours alike. Law: no force is the identity, bit for bit."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn.data.augment._blur import gaussian_blur
from jnn.data.augment._pixels import check_bound, check_images
from jnn.data.augment._warp import check_method, read_at
from jnn.param import check_key


def random_elastic(
    x: jax.Array,
    alpha: float,
    sigma: float,
    *,
    key: jax.Array | None,
    method: str = "bilinear",
    fill: float = 0.0,
) -> jax.Array:
    """Elastic deformation: every pixel is read from beside its place, by a smooth field drawn for every image.

    See "Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis", Simard
    et al., 2003, with alpha 34 and sigma 4 for MNIST.

    Args:
      x: (b, y, x, c), floating point, or integers as for `warp`.
      alpha: what the field is multiplied by, in pixels, 0 or more: displacements are drawn evenly from -1 to 1 along
        each axis and smoothed, after which they deviate from 0 by about alpha / (6 sigma).
      sigma: the standard deviation of the Gaussian that smooths it, in pixels, positive; cut off at three of them.
      key: a PRNG key, or None for no augmentation.
      method, fill: as for `warp`.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, amounts out of range, or method and fill as for `warp`.

    >>> deform = jax.jit(lambda x, key: random_elastic(x, 34.0, 4.0, key=key))
    >>> deform(jnp.ones((2, 5, 5, 1)), jax.random.key(0)).shape
    (2, 5, 5, 1)
    """
    check_images("random_elastic", x)
    check_method("random_elastic", x, method, fill)
    check_bound("random_elastic", "alpha", alpha)
    if not 0 < sigma < math.inf:
        raise ValueError(f"random_elastic: sigma must be positive, found {sigma}.")
    check_key("random_elastic", key, optional=True)
    if key is None:
        return x
    b, height, width, _ = x.shape
    noise = jax.random.uniform(key, (b, height, width, 2), minval=-1.0)
    field = alpha * gaussian_blur(noise, sigma, radius=math.ceil(3 * sigma))
    down, right = jnp.arange(height, dtype=jnp.float32), jnp.arange(width, dtype=jnp.float32)
    at_y, at_x = down[None, :, None] + field[..., 0], right[None, None, :] + field[..., 1]
    return read_at(x, at_y, at_x, method=method, fill=fill)
