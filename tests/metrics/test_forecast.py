"""Errors of forecasts and correlations against scikit-learn, SciPy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import host, intervals, positive, quantiles, regressed, repeated, scaled, scored
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


@rngs
def test_relative_errors_are_scikit_learns_and_their_formulas(rng):
    predictions, targets, weight = positive(rng)
    options = {"sample_weight": weight}
    mape = sk.mean_absolute_percentage_error(targets, predictions, **options)
    np.testing.assert_allclose(host(M.mean_absolute_percentage_error, predictions, targets, weight), mape, rtol=1e-5)
    msle = sk.mean_squared_log_error(targets, predictions, **options)
    np.testing.assert_allclose(host(M.mean_squared_log_error, predictions, targets, weight), msle, rtol=1e-5)
    p, y = repeated((predictions, targets, weight))
    smape = np.mean(abs(p - y) / ((abs(p) + abs(y)) / 2), dtype=float)
    ours = host(M.symmetric_mean_absolute_percentage_error, predictions, targets, weight)
    np.testing.assert_allclose(ours, smape, rtol=1e-5)
    ours = host(M.weighted_absolute_percentage_error, predictions, targets, weight)
    np.testing.assert_allclose(ours, np.sum(abs(p - y), dtype=float) / np.sum(y, dtype=float), rtol=1e-5)


@rngs
def test_scaled_errors_are_over_those_of_naive_forecasts(rng):
    predictions, targets, _, weight = scaled(rng)
    history = rng.normal(size=(len(weight), 9)).astype(np.float32)
    for period in (1, 4):
        naive = [np.mean([abs(x[t] - x[t - period]) for t in range(period, 9)]) for x in history]
        scale = M.naive_error(jnp.asarray(history), period)
        np.testing.assert_allclose(scale, naive, rtol=1e-5)
        theirs = np.average((abs(predictions - targets) / np.array(naive)[:, None]).mean(-1), weights=weight)
        ours = host(M.mean_absolute_scaled_error, predictions, targets, scale, weight)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@rngs
def test_quantiles_and_intervals(rng):
    predictions, targets, weight = quantiles(rng)
    levels = np.array([0.1, 0.5, 0.9])
    theirs = [
        sk.mean_pinball_loss(targets, predictions[:, i], alpha=q, sample_weight=weight) for i, q in enumerate(levels)
    ]
    ours = host(lambda p, y, w: M.quantile_error(p, y, jnp.asarray(levels), w), predictions, targets, weight)
    np.testing.assert_allclose(ours, np.mean(theirs), rtol=1e-5)
    arrays = intervals(rng)
    low, high, y = repeated(arrays)
    np.testing.assert_allclose(host(M.interval_coverage, *arrays), np.mean((low <= y) & (y <= high)), rtol=1e-12)


@rngs
def test_correlations_are_scikit_learns_and_scipys(rng):
    arrays = regressed(rng)
    predictions, targets = (x.astype(float) for x in repeated(arrays))
    columns = [(predictions[:, i], targets[:, i]) for i in range(3)]
    pearson = np.mean([scipy.stats.pearsonr(p, y)[0] for p, y in columns])
    for shift in (0.0, jnp.array([3.0, 2.0, 1.0])):
        ours = host(lambda *a, shift=shift: M.pearson_correlation(*a, shift=shift), *arrays)
        np.testing.assert_allclose(ours, pearson, rtol=1e-4)
    theirs = [2 * np.cov(p, y, ddof=0)[0, 1] / (p.var() + y.var() + (p.mean() - y.mean()) ** 2) for p, y in columns]
    np.testing.assert_allclose(host(M.concordance_correlation, *arrays), np.mean(theirs), rtol=1e-4)
    theirs = sk.explained_variance_score(targets, predictions)
    np.testing.assert_allclose(host(M.explained_variance, *arrays), theirs, rtol=1e-4, atol=1e-5)
    scores, _, weight = scored(rng)
    arrays = scores, (scores + scored(rng)[0]).astype(np.float32), weight
    theirs = scipy.stats.spearmanr(*repeated(arrays)).statistic
    np.testing.assert_allclose(M.spearman_correlation(*map(jnp.asarray, arrays)), theirs, rtol=1e-12)


def test_what_does_not_vary_and_is_the_shift_has_no_correlation():
    """As in SciPy; float32 has no 100.1, and sums of its squares would leave a variance of their own rounding."""
    constant, others = jnp.full((999, 1), 100.1), jnp.linspace(90, 110, 999)[:, None]
    pairs = (constant, others), (others, constant)
    assert np.isnan([M.pearson_correlation(*pair, shift=100.1).value() for pair in pairs]).all()


def test_in_float64_correlations_have_its_digits():
    with jax.enable_x64(True):
        predictions, targets, _ = (x.astype(float) for x in regressed(np.random.default_rng(0)))
        ours = M.pearson_correlation(jnp.asarray(predictions), jnp.asarray(targets)).value()
        theirs = np.mean([np.corrcoef(predictions[:, i], targets[:, i])[0, 1] for i in range(3)])
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_relative_errors_at_zero_are_finite():
    zero = jnp.zeros(2)
    assert M.symmetric_mean_absolute_percentage_error(zero, zero).value() == 0
    assert np.isfinite(M.mean_absolute_percentage_error(zero + 1, zero).value())
