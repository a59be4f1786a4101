"""Signals against their references: scale-invariant signal-to-distortion and signal-to-noise ratios, in dB."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import Mean, mean
from jnn.precision import wide
from jnn.vectors import unit


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
    return mean(_decibels("si_sdr", predictions, targets, centred=False), weight)


def si_snr(predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Scale-invariant signal-to-noise ratio (SI-SNR), in dB: `si_sdr` of signals less their mean.

    See "TasNet: Time-Domain Audio Separation Network", Luo and Mesgarani, 2018. Args and Raises as of `si_sdr`.

    >>> round(float(si_snr(jnp.array([[3.0, 1.0, 1.0, 3.0]]), jnp.array([[1.0, 1.0, 0.0, 0.0]])).value())) < -60
    True
    """
    return mean(_decibels("si_snr", predictions, targets, centred=True), weight)


def _decibels(name: str, predictions: jax.Array, targets: jax.Array, *, centred: bool) -> jax.Array:
    checks.floats(name, predictions)
    checks.same_shape(name, predictions=predictions, targets=targets)
    p, y = wide(predictions), wide(targets)
    if centred:
        p, y = (x - jnp.mean(x, -1, keepdims=True) for x in (p, y))
    # signals of norm 1, whose energies neither over- nor underflow
    p, y = unit(p), unit(y)
    signal = jnp.sum(p * y, -1, keepdims=True) * y
    energy = lambda x: jnp.sum(x**2, -1)
    noise = jnp.where(energy(p) == 0, 1.0, energy(p - signal))
    decibels = lambda x: 10 * jnp.log10(x + jnp.finfo(y.dtype).eps)
    return decibels(energy(signal)) - decibels(noise)
