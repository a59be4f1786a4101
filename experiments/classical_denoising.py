"""Denoising of images (n, y, x, channels) without learning: what a denoising network is measured against.

gaussian(x, sigma), median(x, size)                      of what is around each pixel
bilateral(x, strength), non_local_means(x, strength)     of what is around it and alike
best_of(x, clean, noise)                                 the method and its parameter that serve best
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import ndimage

from experiments.image_quality import quality

Filter = Callable[[np.ndarray], np.ndarray]


def gaussian(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, of a deviation in pixels."""
    return ndimage.gaussian_filter(x, (0, sigma, sigma, 0), mode="nearest")


def median(x: np.ndarray, size: int) -> np.ndarray:
    """Median of a square."""
    return ndimage.median_filter(x, (1, size, size, 1), mode="nearest")


def bilateral(x: np.ndarray, strength: float, *, reach: int = 3, sigma: float = 1.5) -> np.ndarray:
    """Bilateral filter: the mean of what is near and of a like colour.

    See "Bilateral Filtering for Gray and Color Images", Tomasi and Manduchi, 1998.

    Args:
      x: (n, y, x, channels).
      strength: the deviation of colours that count as alike, root mean square over channels.
      reach: how many pixels each way.
      sigma: the deviation of what is near, in pixels.
    """
    near = lambda shift: np.exp(-(shift[0] ** 2 + shift[1] ** 2) / (2 * sigma**2))
    weigh = lambda shift, unlike: near(shift) * np.exp(-unlike / (2 * strength**2))
    return _mean(x, reach, weigh)


def non_local_means(
    x: np.ndarray, strength: float, *, noise: float = 0.0, reach: int = 5, patch: int = 3
) -> np.ndarray:
    """Non-local means: the mean of pixels whose patches are alike.

    See "A Non-Local Algorithm for Image Denoising", Buades, Coll and Morel, 2005.

    Args:
      x: (n, y, x, channels).
      strength: the root mean square difference of patches, beyond the noise's, at which a pixel counts 1 / e.
      noise: its deviation, by which patches differ that are alike.
      reach: how many pixels each way.
      patch: the side of a patch.
    """

    def weigh(shift: tuple[int, int], unlike: np.ndarray) -> np.ndarray:
        patches = ndimage.uniform_filter(unlike, (0, patch, patch, 0), mode="nearest")
        return np.exp(-np.maximum(patches - 2 * noise**2, 0) / strength**2)

    return _mean(x, reach, weigh)


def _mean(x: np.ndarray, reach: int, weigh: Callable[[tuple[int, int], np.ndarray], np.ndarray]) -> np.ndarray:
    """The mean of pixels up to so far away, weighed by how far and how unlike, in squares, they are."""
    total, weights = np.zeros_like(x), np.zeros_like(x[..., :1])
    for shift, other in _shifted(x, reach):
        weight = weigh(shift, np.mean((x - other) ** 2, -1, keepdims=True)).astype(x.dtype)
        total += weight * other
        weights += weight
    return total / weights


def _shifted(x: np.ndarray, reach: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Images (n, y, x, c) moved by up to so many pixels down and right; borders go on as they would in a mirror."""
    wide = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    for down, right in np.ndindex(2 * reach + 1, 2 * reach + 1):
        yield (down - reach, right - reach), wide[:, down : down + x.shape[1], right : right + x.shape[2]]


def filters(noise: float) -> dict[str, Filter]:
    """Every method with every parameter that is tried, by name; noise: its deviation."""
    tried: dict[str, Filter] = {f"Gaussian blur {sigma}": partial(gaussian, sigma=sigma) for sigma in (0.5, 0.7, 0.9)}
    tried |= {f"median of {size}": partial(median, size=size) for size in (3, 5)}
    for share in (1.5, 2.0, 3.0):
        tried[f"bilateral {share}"] = partial(bilateral, strength=share * noise)
    for share in (0.4, 0.6, 0.8, 1.0, 1.2):
        tried[f"non-local means {share}"] = partial(non_local_means, strength=share * noise, noise=noise)
    return tried


def best_of(x: np.ndarray, clean: np.ndarray, noise: float) -> tuple[str, Filter]:
    """The filter that brings noisy images x nearest to clean ones, by PSNR, and its name."""
    tried = filters(noise)
    name = max(tried, key=lambda name: quality(tried[name](x), clean)["psnr"])
    return name, tried[name]
