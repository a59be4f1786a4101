"""Panoptic quality against sets of pixels, matched pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from tests.metrics.examples import segmented
from tests.oracle import configurations


def segments(image, classes=2):
    """The pixels of each segment (class, instance)."""
    out = {}
    for place, (label, instance) in zip(np.ndindex(image.shape[:2]), image.reshape(-1, 2), strict=True):
        if label >= 0:
            out.setdefault((int(label), int(instance)), set()).add(place)
    return out


def sums_of(predicted, target, classes=2):
    """Sums (4, classes) by the paper's words."""
    void = {place for place in np.ndindex(target.shape[:2]) if target[place][0] == -1}
    found, true = segments(predicted), segments(target)
    sums, taken = np.zeros((4, classes)), set()
    for (label, _), pixels in true.items():
        for own, all_of_it in found.items():
            others = all_of_it - void
            iou = len(pixels & others) / len(pixels | others)
            if own[0] == label and iou > 0.5:
                sums[:2, label] += iou, 1
                taken.add(own)
                break
        else:
            sums[3, label] += 1
    for own, pixels in found.items():
        if own not in taken and len(pixels & void) <= len(pixels) / 2:
            sums[2, own[0]] += 1
    return sums


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_panoptic_quality_is_that_of_sets_of_pixels(rng):
    predictions, targets, weight = segmented(rng, 64)
    expected = sum(w * sums_of(p, t) for p, t, w in zip(predictions, targets, weight, strict=True))
    metric = M.merge(quality(predictions, targets, weight))
    np.testing.assert_allclose(np.stack(metric), expected, rtol=1e-5)
    iou, matched, extra, missed = expected
    np.testing.assert_allclose(metric.quality(), iou / (matched + extra / 2 + missed / 2), rtol=1e-5)
    np.testing.assert_allclose(metric.quality(), metric.segmentation() * metric.recognition(), rtol=1e-5)
    np.testing.assert_allclose(metric.value(), metric.quality().mean(), rtol=1e-12)


quality = jax.jit(lambda *arrays: M.panoptic_quality(*arrays, num_classes=2, num_instances=2))


def test_a_class_that_does_not_occur_counts_in_no_mean():
    image = jnp.zeros((1, 2, 2, 2), jnp.int32)
    metric = M.panoptic_quality(image, image, num_classes=3, num_instances=1)
    assert metric.quality().tolist() == [1, 0, 0]
    assert metric.value() == 1
