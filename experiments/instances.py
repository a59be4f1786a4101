"""Instances in a picture, on the host: a threshold makes a mask, and a watershed gives each seed its part of it.

otsu(x) -> threshold
peaks(height, radius) -> seeds
watershed(height, seeds, mask) -> numbers
"""

from __future__ import annotations

import heapq

import numpy as np
from scipy import ndimage


def otsu(x: np.ndarray, bins: int = 256) -> float:
    """Otsu's threshold: what parts a histogram into two classes with the largest variance between them.

    See "A Threshold Selection Method from Gray-Level Histograms", Otsu, 1979.

    >>> otsu(np.array([1.0, 1.1, 5.0, 5.2])).__round__(1)
    1.1
    """
    counts, edges = np.histogram(x, bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    low = np.cumsum(counts * centres) / below
    high = (np.cumsum((counts * centres)[::-1]) / above[::-1])[::-1]
    between = below[:-1] * above[1:] * (low[:-1] - high[1:]) ** 2
    return float(centres[np.argmax(between)])


def peaks(height: np.ndarray, radius: int) -> np.ndarray:
    """Numbered places (y, x) that are above 0 and the highest of the square of so many pixels around them."""
    return ndimage.label((height > 0) & (height == ndimage.maximum_filter(height, 2 * radius + 1)), np.ones((3, 3)))[0]


def watershed(height: np.ndarray, seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Watershed by flooding: from each seed its number spreads over the mask, to the lowest pixel beside it first.

    See "Color Image Segmentation: the Watershed Transformation", Beucher and Meyer, 1993.

    Args:
      height: (y, x).
      seeds: (y, x), integers; 0 where there is none.
      mask: (y, x), what may be flooded.

    Returns:
      (y, x), the seeds' numbers; 0 outside of the mask, and in parts of it without a seed.

    >>> watershed(np.array([[0, 1, 9, 2, 1]]), np.array([[1, 0, 0, 0, 2]]), np.ones((1, 5), bool)).tolist()
    [[1, 1, 1, 2, 2]]
    """
    flat = np.pad(height, 1).ravel().tolist()
    free = np.pad(mask, 1).ravel().tolist()  # the frame is not, so that a neighbour's place needs no check
    found = np.pad(np.where(mask, seeds, 0), 1).ravel().tolist()
    width = height.shape[1] + 2
    queue = [(flat[place], age, place) for age, place in enumerate(np.flatnonzero(found).tolist())]
    heapq.heapify(queue)
    age = len(queue)
    while queue:
        _, _, place = heapq.heappop(queue)
        for beside in (place - width, place - 1, place + 1, place + width):
            if free[beside] and not found[beside]:
                found[beside] = found[place]
                heapq.heappush(queue, (flat[beside], age, beside))  # of equal ones the first that was reached
                age += 1
    return np.reshape(found, (-1, width))[1:-1, 1:-1]


def without_specks(numbers: np.ndarray, smallest: int) -> np.ndarray:
    """Numbers anew from 1, of what has so many pixels at least."""
    sizes = np.bincount(numbers.ravel())
    kept = sizes >= smallest
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0)[numbers]
