"""Brier score, calibration, answers of several labels and fairness, against scikit-learn and plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import grouped, host, labelled, probable, repeated, scored
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


@rngs
def test_the_brier_score_is_scikit_learns(rng):
    probabilities, labels, weight = probable(rng)
    theirs = sk.brier_score_loss(labels, probabilities, sample_weight=weight, labels=np.arange(5), scale_by_half=False)
    np.testing.assert_allclose(host(M.brier_score, probabilities, labels, weight), theirs, rtol=1e-5)


@rngs
def test_calibration_errors_are_gaps_of_bins(rng):
    arrays = probable(rng)
    metric = M.merge(M.calibration_error(*map(jnp.asarray, arrays), bins=7))
    probabilities, labels = repeated(arrays)
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    gaps, sizes = [], []
    for i in range(7):
        chosen = (confidence > i / 7) & (confidence <= (i + 1) / 7)
        sizes.append(chosen.sum())
        gaps.append(abs(confidence[chosen].mean(dtype=float) - right[chosen].mean()) if chosen.any() else 0)
    np.testing.assert_allclose(metric.gaps(), gaps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metric.value(), np.average(gaps, weights=sizes), rtol=1e-5)
    np.testing.assert_allclose(metric.maximum(), max(gaps), rtol=1e-5)


def test_confidences_of_zero_and_one_are_in_the_first_and_last_bin():
    metric = M.calibration_error(jnp.array([[1.0, 0.0], [0.0, 0.0]]), jnp.array([0, 1]), bins=3)
    assert metric.weight.tolist() == [1, 0, 1]


@rngs
def test_answers_of_several_labels_are_scikit_learns(rng):
    scores, labels, weight = labelled(rng)
    options = {"sample_weight": weight}
    np.testing.assert_allclose(
        host(M.hamming_loss, scores, labels, weight), sk.hamming_loss(labels, scores > 0.5, **options), rtol=1e-12
    )
    np.testing.assert_allclose(
        host(M.subset_accuracy, scores, labels, weight), sk.accuracy_score(labels, scores > 0.5, **options), rtol=1e-12
    )
    scores, labels, weight = scored(rng)
    theirs = sk.recall_score(1 - labels, scores <= 0.5, sample_weight=weight)
    np.testing.assert_allclose(host(M.specificity, scores, labels, weight), theirs, rtol=1e-12)


@rngs
def test_fairness_is_how_rates_of_groups_differ(rng):
    arrays = grouped(rng)
    metric = M.merge(M.group_counts(*map(jnp.asarray, arrays), num_groups=4))  # the last group does not occur
    scores, labels, groups = repeated(arrays)
    answers = scores > 0.5
    rate = lambda chosen: answers[chosen].mean()
    selected = [rate(groups == g) for g in range(3)]
    np.testing.assert_allclose(metric.selection_rates(), [*selected, np.nan])
    np.testing.assert_allclose(metric.value(), max(selected) - min(selected), rtol=1e-12)
    odds = [[rate((groups == g) & (labels == y)) for g in range(3)] for y in (0, 1)]
    np.testing.assert_allclose(metric.equalized_odds_difference(), np.max(np.ptp(odds, axis=1)), rtol=1e-12)
