"""The ROC curve and what it says against scikit-learn and SciPy, and TorchMetrics."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import repeated, scored
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


histogram = jax.jit(M.roc_auc_histogram)


def both(rng):
    """Arrays; the merged histogram of their halves, whose bins tell all scores apart; scikit-learn's curve."""
    arrays = scored(rng, 64)
    halves = zip(*(np.split(x, 2) for x in arrays), strict=True)
    sketch = M.merge(*(histogram(*half) for half in halves))
    *curve, thresholds = sk.roc_curve(arrays[1], arrays[0], sample_weight=arrays[2], drop_intermediate=False)
    return tuple(map(jnp.asarray, arrays)), sketch, curve, thresholds


@rngs
def test_the_curve_is_scikit_learns(rng):
    arrays, sketch, (x, y), thresholds = both(rng)
    ours = M.roc_curve(*arrays)
    there = np.isin(thresholds, [np.inf, *ours.thresholds])  # it has those of rows of weight 0, too
    np.testing.assert_allclose(ours.thresholds, thresholds[there])
    np.testing.assert_allclose(ours.false_positive_rate, x[there], rtol=1e-12)
    np.testing.assert_allclose(ours.sensitivity, y[there], rtol=1e-12)
    points = {*zip(sketch.false_positive_rate().round(9), sketch.sensitivity().round(9), strict=True)}
    assert points == {*zip(x.round(9), y.round(9), strict=True)}
    np.testing.assert_allclose(sketch.specificity(), 1 - sketch.false_positive_rate(), atol=1e-15)


@rngs
def test_sensitivity_and_specificity_at_one_another_are_those_of_scikit_learns_curve(rng):
    arrays, sketch, (x, y), _ = both(rng)
    for least in (0.0, 0.31, 0.55, 0.9, 1.0):
        theirs = max(y[1 - x >= least])
        np.testing.assert_allclose(M.sensitivity_at_specificity(*arrays[:2], least, arrays[2]), theirs, rtol=1e-12)
        np.testing.assert_allclose(sketch.sensitivity_at_specificity(least), theirs, rtol=1e-12)
        theirs = 1 - min(x[y >= least])
        np.testing.assert_allclose(M.specificity_at_sensitivity(*arrays[:2], least, arrays[2]), theirs, rtol=1e-12)
        np.testing.assert_allclose(sketch.specificity_at_sensitivity(least), theirs, rtol=1e-12)


@rngs
def test_the_equal_error_rate_is_where_scipy_finds_the_crossing(rng):
    arrays, sketch, (x, y), _ = both(rng)
    theirs = scipy.optimize.brentq(lambda rate: np.interp(rate, x, y) + rate - 1, 0, 1)
    np.testing.assert_allclose(M.equal_error_rate(*arrays), theirs, atol=1e-9)
    np.testing.assert_allclose(sketch.equal_error_rate(), theirs, atol=1e-9)


@rngs
def test_log_auc_is_scipys_integral_of_the_curve_over_logarithms(rng):
    arrays, sketch, (x, y), _ = both(rng)
    for low, high in ((0.001, 0.1), (0.05, 1.0), (0.3, 0.31)):
        ends = np.log(np.unique([*np.clip(x, low, high), low, high]))
        curve = lambda rate: np.interp(np.exp(rate), x, y)
        parts = [scipy.integrate.quad(curve, a, b)[0] for a, b in itertools.pairwise(ends)]
        theirs = sum(parts) / np.log(high / low)
        np.testing.assert_allclose(M.log_auc(*arrays, low=low, high=high), theirs, rtol=1e-7)
        np.testing.assert_allclose(sketch.log_auc(low, high), theirs, rtol=1e-7)


METHODS = (
    M.AucHistogram.equal_error_rate,
    M.AucHistogram.log_auc,
    lambda histogram: histogram.sensitivity_at_specificity(0.7),
    lambda histogram: histogram.specificity_at_sensitivity(0.7),
)


def test_histograms_of_several_steps_have_a_number_each_and_of_one_class_none():
    arrays = [np.stack(x) for x in zip(*(scored(np.random.default_rng(i)) for i in range(3)), strict=True)]
    arrays[1][2] = 0  # positive examples are missing

    @jax.jit
    def several(*arrays):
        steps = jax.vmap(M.roc_auc_histogram)(*arrays)
        return steps, jnp.stack([of(steps) for of in METHODS], -1)

    steps, numbers = several(*arrays)
    for i, row in enumerate(zip(*steps, strict=True)):
        exact = [of(M.AucHistogram(*(np.asarray(x, np.float64) for x in row))) for of in METHODS]
        np.testing.assert_allclose(numbers[i], exact, rtol=1e-5)
        assert np.isnan(exact).all() == (i == 2)


def test_perfect_useless_and_perverse_scores():
    labels = jnp.arange(8) % 2
    for scores, rate in ((labels * 1.0, 0), (labels * 0.0, 0.5), (1.0 - labels, 1)):
        assert M.equal_error_rate(scores, labels) == rate
    np.testing.assert_allclose(M.log_auc(labels * 1.0, labels), 1)
    np.testing.assert_allclose(M.log_auc(labels * 0.0, labels), 0.099 / np.log(100))  # the integral of x over log x


def log_area(scores, labels, low, high):
    """The integral itself: scores without ties have steps, each as high as it is at either end."""
    y = labels[np.argsort(-scores)]
    rates, found = (np.append(0, np.cumsum(hits) / hits.sum()) for hits in (1 - y, y))
    within = (rates >= low) & (rates <= high)
    x = np.concatenate([[low], rates[within], [high]])
    heights = np.concatenate([np.interp([low], rates, found), found[within], np.interp([high], rates, found)])
    return np.trapezoid(heights, np.log(x)) / np.log(high / low)


@pytest.mark.slow
@rngs
def test_rates_are_torchmetrics(rng):
    theirs = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    tenths, labels = repeated(scored(rng, 100))
    for scores in (tenths, rng.permutation(len(labels)).astype(np.float32) / len(labels)):
        ours, given = (jnp.asarray(scores), jnp.asarray(labels)), (torch.tensor(scores), torch.tensor(labels))
        x, y, _ = theirs.binary_roc(*given)
        curve = M.roc_curve(*ours)
        np.testing.assert_allclose(curve.false_positive_rate, x, rtol=1e-5)
        np.testing.assert_allclose(curve.sensitivity, y, rtol=1e-5)
        # theirs is the point that is nearest to the crossing: half of what it lacks is the most that it may be off
        near = np.abs(curve.false_positive_rate + curve.sensitivity - 1).min()
        assert abs(M.equal_error_rate(*ours) - float(theirs.binary_eer(*given))) <= near / 2 + 1e-6
        for least in (0.31, 0.77):
            found = theirs.binary_sensitivity_at_specificity(*given, least)[0]
            np.testing.assert_allclose(M.sensitivity_at_specificity(*ours, least), found, rtol=1e-5)
            found = theirs.binary_specificity_at_sensitivity(*given, least)[0]
            np.testing.assert_allclose(M.specificity_at_sensitivity(*ours, least), found, rtol=1e-5)
    for low, high in ((0.001, 0.1), (0.05, 1.0)):  # without ties, where lines over logarithms are the curve's own
        found = theirs.binary_logauc(*given, fpr_range=(low, high))
        own = M.log_auc(*ours, low=low, high=high)
        np.testing.assert_allclose(own, log_area(scores, labels, low, high), rtol=1e-12)
        np.testing.assert_allclose(own, found, atol=3e-4)  # theirs is that far from the integral, for it is in float32


@pytest.mark.slow
@rngs
def test_sensitivity_and_specificity_at_one_another_are_kerass(rng):
    theirs = pytest.importorskip("keras.metrics")
    scores, labels, weight = scored(rng, 100)
    arrays = jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(weight)
    for ours, kind in (
        (M.sensitivity_at_specificity, theirs.SensitivityAtSpecificity),
        (M.specificity_at_sensitivity, theirs.SpecificityAtSensitivity),
    ):
        for least in (0.31, 0.77):
            metric = kind(least, num_thresholds=1000)  # tells tenths apart
            metric.update_state(labels, scores, sample_weight=weight)
            np.testing.assert_allclose(ours(*arrays[:2], least, arrays[2]), metric.result(), rtol=1e-5)
