"""Signals against their references, in dB.

snr                 signal-to-noise ratio: of the target over what differs from it
si_sdr, si_snr      the same of signals of any scale, and of any mean
sdr                 signal-to-distortion ratio: of signals behind any short filter; on the host
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._sums import Mean, mean, spread
from jnn.vectors import unit

FLOOR = 1e-12  # of energies in float64: ratios are within 120 dB


def snr(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Signal-to-noise ratio (SNR), in dB: of the target over what the prediction adds to it; the mean over signals.

    Args:
      predictions: (..., time), floating point.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Returns:
      Mean in dB, finite: of both signals together of norm 1, energies have their dtype's step at 1 added. So a perfect
      prediction has about 70 dB in float32, silence as target about -70, and silence for silence 0.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> round(float(snr(jnp.array([[2.0, 2.0]]), jnp.array([[2.0, 1.0]])).value()), 4)
    6.9897
    """
    both = unit(jnp.stack(checks.pair("snr", predictions, targets)), axis=(0, -1))
    return mean(_decibels(_energy(both[1])) - _decibels(_energy(both[0] - both[1])), weight)


def si_sdr(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Scale-invariant signal-to-distortion ratio (SI-SDR), in dB, the mean over signals.

    The signal is what of the prediction lies along the target. See "SDR: Half-Baked or Well Done?", Le Roux et al.,
    2019.

    Args:
      predictions: (..., time), floating point.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Returns:
      Mean in dB, finite: of signals of norm 1, energies have their dtype's step at 1 added. So a perfect prediction has
      about 70 dB in float32, and silence, as prediction or target, about -70.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> round(float(si_sdr(jnp.array([[2.0, 2.0]]), jnp.array([[1.0, 0.0]])).value()), 4)
    0.0
    """
    return mean(_scale_invariant("si_sdr", predictions, targets, centred=False), weight)


def si_snr(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Scale-invariant signal-to-noise ratio (SI-SNR), in dB: `si_sdr` of signals less their mean.

    See "TasNet: Time-Domain Audio Separation Network", Luo and Mesgarani, 2018. Args and Raises as of `si_sdr`.

    >>> round(float(si_snr(jnp.array([[3.0, 1.0, 1.0, 3.0]]), jnp.array([[1.0, 1.0, 0.0, 0.0]])).value())) < -60
    True
    """
    return mean(_scale_invariant("si_snr", predictions, targets, centred=True), weight)


def sdr(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, filter_length: int = 512
) -> Mean:
    """Signal-to-distortion ratio (SDR) of BSS Eval, in dB, the mean over signals: in float64, on the host.

    The signal is what of the prediction some filter makes of the target. See "Performance Measurement in Blind Audio
    Source Separation", Vincent et al., 2006, and for the equations "SDR - Medium Rare with Fast Computations",
    Scheibler, 2022.

    Args:
      predictions: (..., time), floating point.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      filter_length: how many taps the filter has.

    Returns:
      Mean in dB, from -120, of silence as prediction or target, to 120.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty, or the filter has no tap.

    >>> noise = np.random.default_rng(0).normal(size=(2, 100))
    >>> round(float(sdr(noise[:1] + 0.1 * noise[1:], noise[:1], filter_length=2).value()))
    20
    """
    predictions, targets = checks.pair("sdr", predictions, targets)
    checks.count("sdr", "filter_length", filter_length)
    each = np.asarray(spread("sdr", weight, jnp.zeros(predictions.shape[:-1])), np.float64).ravel()
    p, y = (np.asarray(x, np.float64).reshape(len(each), -1) for x in (predictions, targets))
    values = [_filtered(p[i], y[i], filter_length) for i in np.flatnonzero(each)]
    return Mean(np.sum(values * each[each != 0]), np.sum(each))


def _filtered(p: np.ndarray, y: np.ndarray, taps: int) -> float:
    """The ratio of what of p a filter of y makes, which least squares find, to the rest: a Toeplitz system."""
    if not (np.isfinite(p).all() and np.isfinite(y).all()):
        return np.nan
    p, y = (x / (np.linalg.norm(x) or 1) for x in (p, y))
    size = 1 << (len(y) + max(len(y), taps)).bit_length()
    of_p, of_y = np.fft.rfft(p, size), np.fft.rfft(y, size)
    along, across = (np.fft.irfft(x, size)[:taps] for x in (abs(of_y) ** 2, of_y.conj() * of_p))
    along[0] += FLOOR
    place = np.arange(taps)
    h = np.linalg.solve(along[abs(place - place[:, None])], across)
    signal = np.clip(across @ h, 0, 1)
    return float(10 * np.log10((signal + FLOOR) / (1 - signal + FLOOR)))


def _scale_invariant(name: str, predictions: jax.Array, targets: jax.Array, *, centred: bool) -> jax.Array:
    p, y = checks.pair(name, predictions, targets)
    if centred:
        p, y = (x - jnp.mean(x, -1, keepdims=True) for x in (p, y))
    # signals of norm 1, whose energies neither over- nor underflow
    p, y = unit(p), unit(y)
    signal = jnp.sum(p * y, -1, keepdims=True) * y
    noise = jnp.where(_energy(p) == 0, 1.0, _energy(p - signal))
    return _decibels(_energy(signal)) - _decibels(noise)


def _energy(x: jax.Array) -> jax.Array:
    return jnp.sum(x**2, -1)


def _decibels(energy: jax.Array) -> jax.Array:
    return 10 * jnp.log10(energy + jnp.finfo(energy.dtype).eps)
