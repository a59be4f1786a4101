"""Adaptive instance normalization: an image in another's style. Law: the style of one example changes no other."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide


def ada_instance_norm(x: jax.Array, style: jax.Array, *, spatial: int = 2, epsilon: float = 1e-5) -> jax.Array:
    """Adaptive instance normalization (AdaIN): x with the mean and the deviation of each channel of a style image.

    See "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization", Huang and Belongie, 2017.

    Args:
      x: (..., *spatial, c), floating point.
      style: (..., *spatial, c), of any size, with x's leading axes and channels.
      spatial: how many spatial axes there are.
      epsilon: added to both variances.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: an image is not floating point.
      ValueError: leading axes or channels differ; too few axes, or no elements.

    >>> style = jnp.array([[5.0], [9.0]])
    >>> ada_instance_norm(jnp.array([[1.0], [3.0]]), style, spatial=1).round(2).squeeze(-1).tolist()
    [5.0, 9.0]
    """
    for image in (x, style):
        checks.floats("ada_instance_norm", image, ndim=spatial + 1)
    kept = lambda image: (*image.shape[: image.ndim - spatial - 1], image.shape[-1])
    if kept(x) != kept(style):
        raise ValueError(
            f"ada_instance_norm: expected images that differ in their {spatial} spatial axes alone, found "
            f"{checks.describe(x)} and {checks.describe(style)}."
        )
    mean, var = _moments(wide(x), spatial)
    style_mean, style_var = _moments(wide(style), spatial)
    gain = jnp.sqrt(style_var + epsilon) * jax.lax.rsqrt(var + epsilon)
    return ((wide(x) - mean) * gain + style_mean).astype(x.dtype)


def _moments(h: jax.Array, spatial: int) -> tuple[jax.Array, jax.Array]:
    axes = tuple(range(-1 - spatial, -1))
    mean = jnp.mean(h, axes, keepdims=True)
    return mean, jnp.mean(jnp.square(h - mean), axes, keepdims=True)
