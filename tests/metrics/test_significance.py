"""Tests of forecasts against SciPy, their formulas written out, and how often they are wrong where nothing is there."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jnn import metrics as M
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1, 2]), ids=range(20))


def walked(rng):
    """Losses of two forecasts, each like the day's before."""
    n = int(rng.integers(20, 200))
    common = np.convolve(rng.normal(size=n + 3), np.ones(4), "valid")
    return np.square(common + rng.normal(size=n)), np.square(common + rng.normal(size=n) + 0.3)


@rngs
def test_one_step_ahead_it_is_students_test_of_the_difference(rng):
    losses, others = walked(rng)
    theirs = scipy.stats.ttest_rel(losses, others)
    np.testing.assert_allclose(M.diebold_mariano(losses, others), theirs, rtol=1e-9)
    one, other = losses.astype(np.float32), others.astype(np.float32)
    found = M.diebold_mariano(jnp.asarray(one), jnp.asarray(other))
    np.testing.assert_allclose(found, scipy.stats.ttest_rel(one.astype(float), other.astype(float)), rtol=1e-9)


@rngs
def test_several_steps_ahead_it_is_its_formula(rng):
    losses, others = walked(rng)
    h, n, d = int(rng.integers(2, 5)), len(losses), losses - others
    gamma = lambda k: sum((d[t] - d.mean()) * (d[t - k] - d.mean()) for t in range(k, n)) / n
    plain = d.mean() / math.sqrt((gamma(0) + 2 * sum(gamma(k) for k in range(1, h))) / n)
    corrected = plain * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    found = M.diebold_mariano(losses, others, horizon=h)
    np.testing.assert_allclose(found, (corrected, 2 * scipy.stats.t.cdf(-abs(corrected), n - 1)), rtol=1e-9)
    swapped = M.diebold_mariano(others, losses, horizon=h)
    np.testing.assert_allclose(swapped, (-found.statistic, found.p_value), rtol=1e-9)


@rngs
def test_directions_by_its_formula_and_near_that_of_a_table_of_four(rng):
    n = int(rng.integers(200, 400))
    y = rng.normal(size=n) + 0.2
    found = np.where(rng.random(n) < 0.3, y, rng.normal(size=n))
    statistic, p = M.pesaran_timmermann(found, y)
    table = np.histogram2d(found > 0, y > 0, bins=2)[0]
    chi2 = scipy.stats.chi2_contingency(table, correction=False).statistic
    assert statistic**2 == pytest.approx(chi2, rel=0.03)  # the same but for terms of 1 / n
    assert p == pytest.approx(scipy.stats.norm.cdf(-statistic))
    for change in (lambda x: 5 * x, jnp.asarray, np.sign):
        assert M.pesaran_timmermann(change(found), y).statistic == pytest.approx(statistic)
    assert M.pesaran_timmermann(-found, y).statistic == pytest.approx(-statistic, abs=1e-9)


def test_where_nothing_is_there_one_in_twenty_is_found():
    rng = np.random.default_rng(0)
    ours = [M.diebold_mariano(*rng.chisquare(1, (2, 30))).p_value for _ in range(1000)]
    signs = [M.pesaran_timmermann(*(rng.normal(size=(2, 100)) + 0.3)).p_value for _ in range(1000)]
    assert 0.03 < np.mean(np.array(ours) < 0.05) < 0.07
    assert 0.03 < np.mean(np.array(signs) < 0.05) < 0.08


def test_what_says_nothing_is_nan():
    ones, nan = np.ones(5), np.array([np.nan, 1, 2, 3, 4.0])
    mixed = np.array([1, -1, 1, -1, 1.0])
    for found in (
        M.diebold_mariano(ones, ones),
        M.diebold_mariano(ones, 3 * ones),
        M.diebold_mariano(nan, ones),
        M.diebold_mariano(mixed, 0 * ones, horizon=2),  # the sum of its covariances is negative
        M.pesaran_timmermann(ones, mixed),
        M.pesaran_timmermann(mixed, -ones),
        M.pesaran_timmermann(nan, mixed),
    ):
        assert np.isnan(found.statistic)
        assert np.isnan(found.p_value)


@rngs
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_what_differs_by_rounding_alone_is_nan(rng, dtype):
    x = rng.chisquare(1, 20) * 10.0 ** rng.integers(-3, 4, 20)
    x = np.asarray(x if dtype == "float64" else jnp.asarray(x, dtype))
    for by in (0.1, 0.3, 7.7):
        assert np.isnan(M.diebold_mariano(x, x + np.asarray(by, x.dtype)).statistic)
    halves = np.array([0.2, 0.1, 0.3])  # two steps apart, the variance is 0
    assert np.isnan(M.diebold_mariano(halves, 0 * halves, horizon=2).statistic)


@rngs
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e200, 1e307])
def test_losses_of_any_size_are_told_apart(rng, scale):
    losses, others = (x / x.max() for x in walked(rng))
    expected = M.diebold_mariano(losses, others, horizon=2)
    np.testing.assert_allclose(M.diebold_mariano(scale * losses, scale * others, horizon=2), expected, rtol=1e-9)
    far = 16 * scale * (2 * losses - 1)
    theirs = scipy.stats.ttest_rel(2 * losses - 1, 1 - 2 * losses)
    np.testing.assert_allclose(M.diebold_mariano(far, -far), theirs, rtol=1e-9)


def test_infinite_forecasts_have_a_direction():
    found, true = np.array([1.0, -1, 2, -3]), np.array([0.1, -0.2, 0.1, 0.3])
    expected = M.pesaran_timmermann(found, true)
    assert M.pesaran_timmermann(np.inf * found, true) == expected
    assert M.pesaran_timmermann(np.inf * found, np.inf * true) == expected


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: M.diebold_mariano(x, x[:2]), ValueError, "diebold_mariano: expected equal shapes"),
        (lambda x: M.diebold_mariano(x, x, horizon=0), ValueError, "expected horizon of 1 or more, found 0"),
        (lambda x: M.diebold_mariano(x, x, horizon=4), ValueError, "more steps than the horizon of 4, found 4"),
        (lambda x: M.diebold_mariano(x.astype(int), x), TypeError, "diebold_mariano: expected floating-point input"),
        (lambda x: M.pesaran_timmermann(x[None], x[None]), ValueError, r"one series \(time,\), found predictions"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call(np.arange(4.0))
