"""Ratios of signals against plain formulas, least squares and torchmetrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from jnn import metrics as M
from tests.metrics.examples import repeated, signals
from tests.oracle import configurations

rngs = pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))


@rngs
def test_ratios_of_signals_are_their_formulas(rng):
    arrays = signals(rng)
    for metric, centre, scaled in ((M.snr, False, False), (M.si_sdr, False, True), (M.si_snr, True, True)):
        values = []
        for pair in zip(*repeated(arrays), strict=True):
            p, y = (x.astype(float) - centre * x.astype(float).mean() for x in pair)
            part = (p @ y) / (y @ y) * y if scaled else y
            values.append(10 * np.log10(np.sum(part**2) / np.sum((part - p) ** 2)))
        np.testing.assert_allclose(M.merge(metric(*map(jnp.asarray, arrays))).value(), np.mean(values), rtol=1e-4)


def test_ratios_of_signals_know_no_scale_and_stay_finite():
    p, y = (jnp.asarray(x) for x in signals(np.random.default_rng(0))[:2])
    for metric in map(jax.jit, (M.si_sdr, M.si_snr)):
        np.testing.assert_allclose(metric(1e30 * p, y).value(), metric(p, 1e-25 * y).value(), rtol=1e-3)
        for a, b in ((y, y), (0 * y, y), (y, 0 * y), (0 * y, 0 * y)):
            assert np.isfinite(metric(a, b).value())
        assert metric(y, y).value() > 60
        assert metric(0 * y, y).value() < -60


def test_the_ratio_to_noise_knows_the_scale_and_stays_finite():
    p, y = (jnp.asarray(x) for x in signals(np.random.default_rng(0))[:2])
    metric = jax.jit(M.snr)
    np.testing.assert_allclose(metric(2 * y, y).value(), 0, atol=1e-4)
    np.testing.assert_allclose(metric(1e30 * p, 1e30 * y).value(), metric(p, y).value(), rtol=1e-3)
    assert metric(y, y).value() > 60
    assert metric(p, 0 * y).value() < -60
    assert metric(0 * y, 0 * y).value() == 0


@rngs
def test_the_ratio_to_distortion_is_that_of_the_best_filter(rng):
    taps = int(rng.integers(1, 24))  # at most 8 more than the signals have samples
    arrays = signals(rng)
    values = []
    for prediction, y in zip(*repeated(arrays), strict=True):
        delayed = scipy.linalg.toeplitz(np.pad(y, (0, taps - 1)), np.zeros(taps))
        p = np.pad(prediction.astype(float), (0, taps - 1))
        rest = p - delayed @ np.linalg.lstsq(delayed, p)[0]
        values.append(10 * np.log10((p @ p - rest @ rest) / (rest @ rest)))
    np.testing.assert_allclose(M.sdr(*arrays, filter_length=taps).value(), np.mean(values), rtol=1e-6)


def test_the_ratio_to_distortion_forgives_filters_and_stays_finite():
    noise, tone = np.random.default_rng(0).normal(size=64), np.sin(np.arange(64.0))
    of = lambda p, y: M.sdr(p, y, filter_length=8).value()
    assert of(np.convolve(noise, [1, -2, 3])[:64] + 0.0, noise) > of(noise[::-1], noise) + 5
    assert of(tone, tone) > 100
    assert 15 < of(tone + 0.1 * noise, tone) < 30
    assert max(of(0 * tone, tone), of(tone, 0 * tone), of(0 * tone, 0 * tone)) < -119


@pytest.mark.slow
@pytest.mark.parametrize("rng", configurations(fast=range(8)), ids=range(20))
def test_ratios_are_torchmetrics(rng):
    theirs, torch = pytest.importorskip("torchmetrics.functional.audio"), pytest.importorskip("torch")
    noise = rng.normal(size=(2, 2, 2000))
    y = scipy.signal.lfilter([1], [1, -1.6, 0.8], noise[0])
    p = scipy.signal.lfilter([1, 0.5], [1], y) + 10.0 ** rng.uniform(-3, 1) * noise[1]
    pair = torch.tensor(p), torch.tensor(y)
    for taps in (512, 7):
        expected = theirs.signal_distortion_ratio(*pair, filter_length=taps).mean()
        np.testing.assert_allclose(M.sdr(p, y, filter_length=taps).value(), expected, rtol=1e-5, atol=1e-5)
    expected = theirs.signal_noise_ratio(*pair).mean()
    np.testing.assert_allclose(M.snr(*map(jnp.asarray, (p, y))).value(), expected, rtol=1e-4, atol=1e-4)
