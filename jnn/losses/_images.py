"""Losses of images, (..., y, x, channels), one number per image.

    ssim_loss, ms_ssim_loss                     1 minus the similarities of `jnn.image_similarity`
    total_variation(images)                     a penalty on what is not smooth
    lpips(features_a, features_b, weights)      the distance of two images in the features of a network

Values are float32 at least, finite with finite gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.image_similarity import SCALES, ms_ssim, ssim
from jnn.precision import wide
from jnn.vectors import unit


def ssim_loss(
    predictions: jax.Array, targets: jax.Array, *, peak: float = 1.0, window: int = 11, sigma: float = 1.5
) -> jax.Array:
    """SSIM loss: 1 minus the structural similarity of two images.

    See "Loss Functions for Image Restoration with Neural Networks", Zhao et al., 2017.

    Args:
      predictions: (..., y, x, channels), floating point, at least as large as the window.
      targets: the same shape.
      peak: the range of their values.
      window, sigma: of the Gaussian window, its side and its standard deviation.

    Returns:
      (...): in [0, 2].

    Raises:
      TypeError: images are not floating point.
      ValueError: shapes differ, or images are smaller than the window.

    >>> image = jnp.linspace(0, 1, 12 * 12).reshape(1, 12, 12, 1)
    >>> ssim_loss(image, image).round(5) + 0
    Array([0.], dtype=float32)
    """
    return 1 - ssim(predictions, targets, peak=peak, window=window, sigma=sigma)


def ms_ssim_loss(
    predictions: jax.Array,
    targets: jax.Array,
    *,
    peak: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    scales: tuple[float, ...] = SCALES,
) -> jax.Array:
    """Multi-scale SSIM loss: 1 minus the multi-scale structural similarity of two images.

    See "Loss Functions for Image Restoration with Neural Networks", Zhao et al., 2017.

    Args:
      predictions, targets, peak, window, sigma: as for `ssim_loss`; the coarsest scale is as large as the window.
      scales: the exponent of each scale, the finest first.

    Returns:
      (...): in [0, 1].

    Raises:
      TypeError, ValueError: as `ssim_loss` does.

    >>> image = jnp.linspace(0, 1, 12 * 12).reshape(1, 12, 12, 1)
    >>> ms_ssim_loss(image, 0 * image, window=3, scales=(0.5, 0.5)) > 0.5
    Array([ True], dtype=bool)
    """
    return 1 - ms_ssim(predictions, targets, peak=peak, window=window, sigma=sigma, scales=scales)


def total_variation(images: jax.Array) -> jax.Array:
    """Total variation, anisotropic: the absolute differences of neighbouring pixels, added up.

    See "Nonlinear total variation based noise removal algorithms", Rudin et al., 1992.

    Args:
      images: (..., y, x, channels), floating point.

    Returns:
      (...): the sum over pixels and channels.

    Raises:
      TypeError: images are not floating point.
      ValueError: too few axes, or empty.

    >>> total_variation(jnp.array([[0.0, 1.0], [0.0, 3.0]])[..., None])
    Array(6., dtype=float32)
    """
    checks.floats("total_variation", images, ndim=3)
    x = wide(images)
    return sum(
        (jnp.sum(jnp.abs(jnp.diff(x, axis=axis)), axis=(-3, -2, -1)) for axis in (-3, -2)),
        start=jnp.zeros(x.shape[:-3], x.dtype),
    )


def lpips(features_a: Sequence[jax.Array], features_b: Sequence[jax.Array], weights: Sequence[jax.Array]) -> jax.Array:
    """LPIPS, learned perceptual image patch similarity: the distance of two images in the features of a network.

    See "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", Zhang et al., 2018.

    Args:
      features_a: of each layer (..., y, x, channels), floating point, of the one image; any network's will do.
      features_b: of the same shapes, of the other.
      weights: of each layer (channels,), >= 0; ones are the distance that is not learned.

    Returns:
      (...): of vectors of length 1, the weighted squared differences: mean over pixels, sum over layers.

    Raises:
      TypeError: features are not floating point.
      ValueError: there are not as many layers of each, or shapes do not fit.

    >>> a, b = jnp.array([[[[2.0, 0.0]]]]), jnp.array([[[[0.0, 3.0]]]])
    >>> lpips([a], [b], [jnp.ones(2)])
    Array([2.], dtype=float32)
    """
    if not len(features_a) == len(features_b) == len(weights) > 0:
        found = f"{len(features_a)}, {len(features_b)} and {len(weights)}"
        raise ValueError(f"lpips: expected features and weights of the same layers, found {found}.")
    layers = [_layer_distance(a, b, w) for a, b, w in zip(features_a, features_b, weights, strict=True)]
    return sum(layers[1:], start=layers[0])


def _layer_distance(a: jax.Array, b: jax.Array, weights: jax.Array) -> jax.Array:
    for x in (a, b):
        checks.floats("lpips", x, ndim=3)
    checks.same_shape("lpips", features_a=a, features_b=b)
    checks.trailing("lpips", a, jnp.shape(weights))
    square = jnp.square(unit(a) - unit(b))
    return jnp.mean(jnp.einsum("...yxc,c->...yx", square, wide(jnp.asarray(weights))), axis=(-2, -1))
