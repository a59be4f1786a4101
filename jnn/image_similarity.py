"""How alike two images are: PSNR, SSIM, multi-scale SSIM and UQI. Images are (..., y, x, channels).

    psnr(x, y), ssim(x, y), ms_ssim(x, y)       one number per image, of values in [0, peak]
    universal_image_quality(x, y)               the same, of values of any range

Laws: float32 at least; symmetric; of equal images 1 (SSIM, UQI) or infinite (PSNR). Losses and metrics share them.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide
from jnn.vectors import scale_of

SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the paper: how much each of five scales counts


def psnr(x: jax.Array, y: jax.Array, *, peak: float = 1.0) -> jax.Array:
    """Peak signal-to-noise ratio of images, in decibels.

    Args:
      x, y: (..., y, x, channels), floating point, of one shape.
      peak: the range of their values.

    Returns:
      (...): `10 log10(peak**2 / mean squared error)`; infinite, with a gradient of 0, where there is no error.

    Raises:
      TypeError: images are not floating point.
      ValueError: shapes differ, or the peak is not positive.

    >>> psnr(jnp.zeros((4, 4, 1)), jnp.full((4, 4, 1), 0.1)).round(3)
    Array(20., dtype=float32)
    """
    x, y, peak = _images("psnr", x, y, peak)
    error = jnp.mean(jnp.square((x - y) / peak), axis=(-3, -2, -1))
    none = error == 0
    return jnp.where(none, jnp.inf, -10 / math.log(10) * jnp.log(jnp.where(none, 1.0, error)))


def ssim(x: jax.Array, y: jax.Array, *, peak: float = 1.0, window: int = 11, sigma: float = 1.5) -> jax.Array:
    """Structural similarity index (SSIM): luminance, contrast and structure under a Gaussian window.

    See "Image Quality Assessment: From Error Visibility to Structural Similarity", Wang et al., 2004.

    Args:
      x, y: (..., y, x, channels), floating point, of one shape, at least as large as the window.
      peak: the range of their values.
      window: its side.
      sigma: its standard deviation.

    Returns:
      (...): in [-1, 1], mean over channels and over where the window fits in.

    Raises:
      TypeError: images are not floating point.
      ValueError: shapes differ, images are smaller than the window, or a number is not positive.

    >>> image = jnp.linspace(0, 1, 12 * 12).reshape(12, 12, 1)
    >>> ssim(image, image).round(5)
    Array(1., dtype=float32)
    """
    x, y, peak = _images("ssim", x, y, peak)
    luminance, contrast = _similarity("ssim", x / peak, y / peak, window, sigma)
    return jnp.mean(luminance * contrast, axis=(-3, -2, -1))


def ms_ssim(
    x: jax.Array,
    y: jax.Array,
    *,
    peak: float = 1.0,
    window: int = 11,
    sigma: float = 1.5,
    scales: tuple[float, ...] = SCALES,
) -> jax.Array:
    """Multi-scale SSIM: contrast and structure at several scales, luminance at the coarsest.

    See "Multi-Scale Structural Similarity for Image Quality Assessment", Wang et al., 2003.

    Args:
      x, y, peak, window, sigma: as for `ssim`; the last of the scales is to be as large as the window.
      scales: the exponent of each scale, the finest first; from one to the next, pixels are averaged two by two.

    Returns:
      (...): in [0, 1], mean over channels; similarities below 1e-6, as of images that are each other's negative,
      count as 1e-6, without a gradient.

    Raises:
      TypeError, ValueError: as `ssim` does.

    >>> image = jnp.linspace(0, 1, 12 * 12).reshape(12, 12, 1)
    >>> ms_ssim(image, image, window=3, scales=(0.5, 0.5)).round(5)
    Array(1., dtype=float32)
    """
    x, y, peak = _images("ms_ssim", x, y, peak)
    x, y, product = x / peak, y / peak, jnp.ones((*x.shape[:-3], x.shape[-1]), x.dtype)
    for i, exponent in enumerate(scales):
        if i:
            x, y = _halved(x), _halved(y)
        luminance, contrast = _similarity("ms_ssim", x, y, window, sigma)
        similarity = contrast if i < len(scales) - 1 else luminance * contrast
        product *= jnp.maximum(jnp.mean(similarity, axis=(-3, -2)), 1e-6) ** exponent
    return jnp.mean(product, axis=-1)


def universal_image_quality(x: jax.Array, y: jax.Array, *, window: int = 11, sigma: float = 1.5) -> jax.Array:
    """Universal image quality index (UQI): SSIM without its constants, so that no range of values is given.

    See "A Universal Image Quality Index", Wang and Bovik, 2002; the window is Gaussian here, as that of `ssim` is.

    Args:
      x, y: (..., y, x, channels), floating point, of one shape, at least as large as the window.
      window: its side.
      sigma: its standard deviation.

    Returns:
      (...): in [-1, 1], mean over channels and over where the window fits in. Where both images are flat, luminance
      alone counts.

    Raises:
      TypeError: images are not floating point.
      ValueError: shapes differ, or images are smaller than the window.

    >>> image = jnp.linspace(0, 1, 12 * 12).reshape(12, 12, 1)
    >>> universal_image_quality(image, image).round(3), universal_image_quality(image, 255 * image) < 0.1
    (Array(1., dtype=float32), Array(True, dtype=bool))
    """
    x, y, _ = _images("universal_image_quality", x, y, 1.0)
    _, scale = scale_of(jnp.max(jnp.maximum(jnp.abs(x), jnp.abs(y)), axis=(-3, -2, -1), keepdims=True))
    mean_x, mean_y, squares, variances, covariance = _moments(
        "universal_image_quality", x / scale, y / scale, window, sigma
    )
    luminance = _or_one(2 * mean_x * mean_y, mean_x**2 + mean_y**2, 0.0)
    contrast = _or_one(2 * covariance, variances, 16 * jnp.finfo(x.dtype).eps * squares)  # less is rounding
    return jnp.mean(luminance * contrast, axis=(-3, -2, -1))


def _or_one(x: jax.Array, over: jax.Array, least: jax.Array | float) -> jax.Array:
    """x / over, and 1 where that is no more than the least."""
    nothing = over <= least
    return jnp.where(nothing, 1.0, x / jnp.where(nothing, 1.0, over))


def _similarity(name: str, x: jax.Array, y: jax.Array, window: int, sigma: float) -> tuple[jax.Array, jax.Array]:
    """Luminance, and contrast times structure, under each place of the window; values are in [0, 1]."""
    mean_x, mean_y, _, variances, covariance = _moments(name, x, y, window, sigma)
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _moments(name: str, x: jax.Array, y: jax.Array, window: int, sigma: float) -> tuple[jax.Array, ...]:
    """Under each place of the window: both means, the squares and the variances of both added up, the covariance."""
    checks.count(name, "window", window)
    if min(x.shape[-3:-1]) < window:
        raise ValueError(
            f"{name}: expected images as large as the window of {window} pixels at every scale, found "
            f"{x.shape[-3]} x {x.shape[-2]}. Give a smaller window, or fewer scales."
        )
    blur = partial(_blurred, window=window, sigma=sigma)
    mean_x, mean_y = blur(x), blur(y)
    # of centred images, so that the differences below are of small numbers
    shift = jax.lax.stop_gradient(jnp.mean((x + y) / 2, axis=(-3, -2), keepdims=True))
    u, v, mean_u, mean_v = x - shift, y - shift, mean_x - shift, mean_y - shift
    squares = blur(u * u + v * v)
    return mean_x, mean_y, squares, squares - mean_u**2 - mean_v**2, blur(u * v) - mean_u * mean_v


def _blurred(x: jax.Array, *, window: int, sigma: float) -> jax.Array:
    """The Gaussian mean where the window fits in: along one axis, then along the other."""
    z = (np.arange(window) - (window - 1) / 2) / sigma
    weights = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    for axis in (-3, -2):
        size = x.shape[axis] - window + 1
        take = partial(jax.lax.slice_in_dim, axis=x.ndim + axis)
        x = sum((float(w) * take(x, i, i + size) for i, w in enumerate(weights)), start=jnp.zeros((), x.dtype))
    return x


def _halved(x: jax.Array) -> jax.Array:
    """Pixels averaged two by two; an odd last one is left out."""
    *leading, rows, columns, channels = x.shape
    even = x[..., : rows // 2 * 2, : columns // 2 * 2, :]
    return jnp.mean(even.reshape(*leading, rows // 2, 2, columns // 2, 2, channels), axis=(-4, -2))


def _images(name: str, x: jax.Array, y: jax.Array, peak: float) -> tuple[jax.Array, jax.Array, float]:
    for image in (x, y):
        checks.array(name, image)
        if jnp.issubdtype(image.dtype, jnp.integer):  # a cast alone would leave a peak of 1
            raise TypeError(
                f"{name}: expected floating-point images, found {checks.describe(image)}. Give x / 255, or "
                "x.astype(jnp.float32) with peak=255."
            )
        checks.floats(name, image, ndim=3)
    checks.same_shape(name, x=x, y=y)
    return wide(x), wide(y), checks.number(name, "peak", peak, lambda p: p > 0, "> 0", like=wide(x))
