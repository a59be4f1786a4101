"""Instances in a picture: thresholds and floods are those of scikit-image, and of what they are defined by."""

import numpy as np
import pytest
from scipy import ndimage

from experiments.instances import otsu, peaks, watershed, without_specks
from tests.oracle import configurations


def blobs(rng, size=24):
    """A smooth height with seeds at its lowest places, and a mask of all but the highest."""
    height = ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)
    return height, peaks(height.max() - height, 2), height < np.quantile(height, 0.8)


@pytest.mark.parametrize("rng", configurations(fast=[0, 1, 2]), ids=range(20))
def test_the_threshold_parts_what_varies_least_within(rng):
    x = np.concatenate([rng.normal(0, 1, 200), rng.normal(rng.uniform(2, 6), rng.uniform(0.5, 2), 100)])
    within = lambda at: sum(part.size * part.var() for part in (x[x <= at], x[x > at]))
    candidates = np.sort(x)[:-1]
    least = min(map(within, candidates))
    assert within(otsu(x)) == pytest.approx(least, rel=3e-2)  # of 256 bins


@pytest.mark.parametrize("rng", configurations(fast=[0, 1, 2]), ids=range(20))
def test_each_pixel_is_of_a_seed_that_it_is_reached_from_at_the_lowest_pass(rng):
    """Of all ways through the mask from any seed, none has a lower highest pixel than the one from its own."""
    height, seeds, mask = blobs(rng)
    found = watershed(height, seeds, mask)
    assert ((found > 0) <= mask).all()
    np.testing.assert_array_equal(found[(seeds > 0) & mask], seeds[(seeds > 0) & mask])
    passes = {number: lowest_pass(height, (seeds == number) & mask, mask) for number in np.unique(found[found > 0])}
    lowest = np.min(list(passes.values()), 0)
    np.testing.assert_array_equal(found > 0, np.isfinite(lowest))
    for number, own in passes.items():
        chosen = found == number
        np.testing.assert_array_equal(own[chosen], lowest[chosen])
        assert ndimage.label(chosen)[1] <= ndimage.label((seeds == number) & mask)[1]


def lowest_pass(height, start, mask):
    """The highest pixel of the lowest way to each pixel, by relaxing all until nothing changes."""
    best = np.where(start, height, np.inf)
    while True:
        framed = np.pad(best, 1, constant_values=np.inf)
        beside = np.min([framed[1:-1, 2:], framed[1:-1, :-2], framed[2:, 1:-1], framed[:-2, 1:-1]], 0)
        new = np.where(mask, np.minimum(best, np.maximum(beside, height)), np.inf)
        if (new == best).all():
            return best
        best = new


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_both_are_scikit_images(rng):
    filters, segmentation = (pytest.importorskip(f"skimage.{part}") for part in ("filters", "segmentation"))
    height, seeds, mask = blobs(rng)
    assert otsu(height) == pytest.approx(filters.threshold_otsu(height), abs=1e-12)
    np.testing.assert_array_equal(watershed(height, seeds, mask), segmentation.watershed(height, seeds, mask=mask))


def test_peaks_are_alone_in_their_square_and_specks_are_left_out():
    height = np.zeros((7, 9))
    height[1, 1], height[1, 3], height[5, 7] = 3, 2, 1
    assert np.argwhere(peaks(height, 2)).tolist() == [[1, 1], [5, 7]]
    assert peaks(height, 1).max() == 3
    assert without_specks(np.array([[0, 4, 4, 7, 9, 9]]), 2).tolist() == [[0, 1, 1, 0, 2, 2]]
