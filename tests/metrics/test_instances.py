"""Average precision of instances against sets of pixels, matched one by one."""

import itertools

import jax
import numpy as np
import pytest

from jnn import metrics as M
from tests.metrics.examples import numbered
from tests.oracle import configurations

THRESHOLDS = (0.5, 0.6, 0.9)


def places(image):
    """The pixels of each instance."""
    return {number: set(map(tuple, np.argwhere(image == number))) for number in set(image.ravel().tolist()) - {0}}


def most_pairs(found, true, threshold):
    """The most pairs that overlap by more, of all ways to pair them."""
    fits = lambda a, b: len(a & b) / len(a | b) > threshold
    few, many = sorted((list(found.values()), list(true.values())), key=len)
    return max(sum(map(fits, few, chosen)) for chosen in itertools.permutations(many, len(few)))


def counts(predicted, target):
    """Sums (3, thresholds) of one image."""
    found, true = places(predicted), places(target)
    pairs = np.array([most_pairs(found, true, threshold) for threshold in THRESHOLDS])
    return np.stack([pairs, len(found) - pairs, len(true) - pairs])


measure = jax.jit(lambda *arrays: M.instance_precision(*arrays, num_instances=5, thresholds=THRESHOLDS))


@pytest.mark.parametrize("rng", configurations(fast=[0, 1, 2]), ids=range(20))
def test_instances_are_matched_as_the_best_of_all_pairings_does(rng):
    predictions, targets, weight = numbered(rng)
    pairs, extra, missed = sum(w * counts(p, t) for p, t, w in zip(predictions, targets, weight, strict=True))
    assert (pairs > 0).all()
    assert (extra > 0).all()
    metric = M.merge(measure(predictions, targets, weight))
    np.testing.assert_array_equal(np.stack(metric), [pairs, extra, missed])
    np.testing.assert_allclose(metric.average_precision(), pairs / (pairs + extra + missed))
    np.testing.assert_allclose(metric.value(), metric.average_precision().mean())
    precision, recall = metric.precision(), metric.recall()
    np.testing.assert_allclose([precision, recall], [pairs / (pairs + extra), pairs / (pairs + missed)])
    np.testing.assert_allclose(metric.f1(), 2 * precision * recall / (precision + recall))


def test_a_half_is_not_enough():
    """At thresholds of 0.5 and 0.6, an overlap of as much is none: what is found twice over was found once at most."""
    true, halves = np.array([[1, 1, 1, 1, 1]]), np.array([[1, 1, 1, 2, 2]])
    metric = M.instance_precision(halves, true, num_instances=3, thresholds=(0.5, 0.6))
    assert [x.tolist() for x in metric] == [[1, 0], [1, 2], [0, 1]]
    half = M.instance_precision(np.array([[1, 1, 2, 2]]), np.ones((1, 4), int), num_instances=3)
    assert [x.tolist() for x in half] == [[0], [2], [1]]


def test_of_nothing_there_is_no_average():
    empty = np.zeros((1, 3, 3), int)
    assert np.isnan(M.instance_precision(empty, empty, num_instances=2).value())
    only = M.instance_precision(empty, empty + 1, num_instances=2)
    assert (only.value(), only.recall()[0], only.precision()[0], only.f1()[0]) == (0, 0, 0, 0)
