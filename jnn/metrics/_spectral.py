"""Fidelity of images of several spectral bands, (..., y, x, bands), as means over images.

    spectral_angle                      the angle between the spectra of a pixel, whatever their brightness
    ergas, rase                         errors relative to the bands' means, of all bands as one number
    windowed_root_mean_squared_error    errors under a window that slides over the image
    spectral_distortion                 what fusion does to how bands relate to each other; no reference is needed

Single images are compared by `jnn.image_similarity`, whose numbers `mean` takes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.image_similarity import universal_image_quality
from jnn.metrics._sums import Mean, mean
from jnn.vectors import unit


def spectral_angle(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Spectral angle mapper (SAM): the angle in radians between the spectra of each pixel, the mean over pixels.

    See "Discrimination among semi-arid landscape endmembers using the Spectral Angle Mapper (SAM) algorithm", Yuhas et
    al., 1992.

    Args:
      predictions: (..., y, x, bands), floating point.
      targets: the same shape.
      weight: (...) or its leading axes, of images; 0 for padding, None for 1 each.

    Returns:
      Mean from 0 to pi; a right angle where one of two spectra is zero, 0 where both are.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(spectral_angle(jnp.array([[[0.0, 2.0]]]), jnp.array([[[1.0, 0.0]]])).value())
    1.5707963705062866
    """
    x, y = (unit(image) for image in checks.pair("spectral_angle", predictions, targets, ndim=3))
    # by half the angle: the arc cosine has no digits near 0
    return mean(jnp.mean(2 * jnp.atan2(_root_mean_square(x - y, -1), _root_mean_square(x + y, -1)), (-2, -1)), weight)


def ergas(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, ratio: jax.Array | float = 4.0
) -> Mean:
    """ERGAS, the relative dimensionless global error in synthesis, in percent: 0 for no error.

    100 / ratio times the root mean square over bands of error / mean. See "Quality of high resolution synthesised
    images: Is there a simple criterion?", Wald, 2000.

    Args:
      predictions: (..., y, x, bands), floating point.
      targets: the same shape; a band whose mean is 0 counts as its dtype's step at 1, which makes its error huge.
      weight: (...) or its leading axes, of images; 0 for padding, None for 1 each.
      ratio: how many pixels of the fine image are one of the coarse image, along an axis.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or the ratio is not positive.

    >>> round(float(ergas(jnp.full((2, 2, 3), 1.1), jnp.ones((2, 2, 3))).value()), 3)
    2.5
    """
    x, y = checks.pair("ergas", predictions, targets, ndim=3)
    ratio = checks.number("ergas", "ratio", ratio, lambda r: r > 0, "> 0", like=x)
    relative = _root_mean_square(x - y, (-3, -2)) / _size(jnp.mean(y, (-3, -2)))
    return mean(100 / ratio * _root_mean_square(relative, -1), weight)


def rase(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Relative average spectral error (RASE), in percent: the root mean squared error over the mean of all bands.

    See "Fusion of High Spatial and Spectral Resolution Images: The ARSIS Concept and Its Implementation", Ranchin and
    Wald, 2000. Args and Raises as of `ergas`, without a ratio.

    >>> round(float(rase(jnp.full((2, 2, 3), 1.1), jnp.ones((2, 2, 3))).value()), 3)
    10.0
    """
    x, y = checks.pair("rase", predictions, targets, ndim=3)
    axes = (-3, -2, -1)
    return mean(100 * _root_mean_square(x - y, axes) / _size(jnp.mean(y, axes)), weight)


def windowed_root_mean_squared_error(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, window: int = 8
) -> Mean:
    """Root mean squared error (RMSE) under a sliding window: the mean over its places, channels and images.

    The window and its size are those of "A Universal Image Quality Index", Wang and Bovik, 2002.

    Args:
      predictions: (..., y, x, channels), floating point, at least as large as the window.
      targets: the same shape.
      weight: (...) or its leading axes, of images; 0 for padding, None for 1 each.
      window: its side; every place counts where it fits in.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are smaller than the window.

    >>> x = jnp.array([0.0, 3.0, 0.0]).reshape(1, 3, 1)
    >>> float(windowed_root_mean_squared_error(x, 0 * x, window=1).value())
    1.0
    """
    x, y = checks.pair("windowed_root_mean_squared_error", predictions, targets, ndim=3)
    checks.count("windowed_root_mean_squared_error", "window", window)
    if min(x.shape[-3:-1]) < window:
        raise ValueError(
            f"windowed_root_mean_squared_error: expected images as large as the window of {window} pixels, found "
            f"{x.shape[-3]} x {x.shape[-2]}. Give a smaller window."
        )
    sides = (1,) * (x.ndim - 3) + (window, window, 1)
    square = jax.lax.reduce_window(jnp.square(x - y) / window**2, 0.0, jax.lax.add, sides, (1,) * x.ndim, "VALID")
    return mean(jnp.mean(jnp.sqrt(square), (-3, -2, -1)), weight)


def spectral_distortion(
    fused: jax.Array, coarse: jax.Array, weight: jax.Array | None = None, *, window: int = 11, sigma: float = 1.5
) -> Mean:
    """Spectral distortion index (D_lambda), from 0: how fusion changes the similarity of every two bands.

    The mean |Q - Q'| over pairs of bands, where Q is their `universal_image_quality` in the one image and in the other.
    See "Multispectral and Panchromatic Data Fusion Assessment Without Reference", Alparone et al., 2008.

    Args:
      fused: (..., y, x, bands), floating point, of two bands or more.
      coarse: of the same leading axes and bands, and any size: what was fused.
      weight: (...) or its leading axes, of images; 0 for padding, None for 1 each.
      window, sigma: of the Gaussian window that is as large as either image or smaller.

    Raises:
      TypeError: images are not floating point.
      ValueError: shapes do not fit, or images are smaller than the window.

    >>> image = jnp.linspace(0, 1, 3 * 3 * 2).reshape(3, 3, 2)
    >>> float(spectral_distortion(image, image[:2, :2], window=2).value()) < 0.1
    True
    """
    for image in (fused, coarse):
        checks.floats("spectral_distortion", image, ndim=3)
    outside = lambda image: (*image.shape[:-3], image.shape[-1])
    if outside(fused) != outside(coarse) or fused.shape[-1] < 2:
        raise ValueError(
            f"spectral_distortion: expected two images of the same leading axes and two bands or more, found "
            f"{checks.describe(fused)} and {checks.describe(coarse)}."
        )
    first, second = np.triu_indices(fused.shape[-1], 1)
    # the bands of pairs as images of one channel, in front of all other axes
    bands = lambda image, of: jnp.moveaxis(image[..., of], -1, 0)[..., None]
    quality = lambda image: universal_image_quality(
        bands(image, first), bands(image, second), window=window, sigma=sigma
    )
    return mean(jnp.mean(jnp.abs(quality(fused) - quality(coarse)), 0), weight)


def _root_mean_square(x: jax.Array, axes: int | tuple[int, ...]) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x), axes))


def _size(x: jax.Array) -> jax.Array:
    """Of a mean that something is relative to."""
    return jnp.maximum(jnp.abs(x), jnp.finfo(x.dtype).eps)
