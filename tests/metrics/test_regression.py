"""Errors of regression are scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics as sk

from jnn import metrics as M
from tests.metrics.examples import host, regressed
from tests.oracle import configurations

twenty = pytest.mark.parametrize("rng", configurations(), ids=range(20))


@twenty
def test_regression_metrics_are_scikit_learns(rng):
    predictions, targets, weight = regressed(rng)
    options = {"sample_weight": weight}
    mae = sk.mean_absolute_error(targets, predictions, **options)
    mse = sk.mean_squared_error(targets, predictions, **options)
    np.testing.assert_allclose(host(M.mean_absolute_error, predictions, targets, weight), mae, rtol=1e-5)
    np.testing.assert_allclose(host(M.mean_squared_error, predictions, targets, weight), mse, rtol=1e-5)
    np.testing.assert_allclose(host(M.root_mean_squared_error, predictions, targets, weight), mse**0.5, rtol=1e-5)
    r2 = sk.r2_score(targets, predictions, **options)
    np.testing.assert_allclose(host(M.r_squared, predictions, targets, weight), r2, rtol=1e-4)
    one = predictions[:, 0], targets[:, 0], weight
    mae = sk.mean_absolute_error(one[1], one[0], **options)
    np.testing.assert_allclose(host(M.mean_absolute_error, *one), mae, rtol=1e-5)


def test_r_squared_far_from_zero_needs_its_shift():
    predictions, targets, _ = (x + 10_000 for x in regressed(np.random.default_rng(0), 4096))
    shifted = lambda p, y: M.r_squared(p, y, shift=10_000.0)
    np.testing.assert_allclose(host(shifted, predictions, targets), sk.r2_score(targets, predictions), rtol=1e-4)
    per_output = lambda p, y: M.r_squared(p, y, shift=targets.mean(0))
    np.testing.assert_allclose(host(per_output, predictions, targets), sk.r2_score(targets, predictions), rtol=1e-4)
