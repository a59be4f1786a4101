"""Audio: masks over spectrograms, shifts and noise for waveforms.

Laws: what lies beyond a row's length is never touched; noise is as loud as asked, exactly;
`key=None` is the identity. Waveforms are `b t`, spectrograms `b t f`. `lengths` says how many of the
t are real, and has no default: None says that all are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.data.augment._given import check_input
from jnn.data.augment._lengths import lengths_of, real_places
from jnn.data.augment._pixels import check_bound, check_fill
from jnn.data.augment._window import interval
from jnn.param import check_key


def spec_augment(
    x: jax.Array,
    *,
    lengths: jax.Array | None,
    key: jax.Array | None,
    times: int = 2,
    time_width: int = 100,
    time_share: float = 1.0,
    frequencies: int = 2,
    frequency_width: int = 27,
    fill: float = 0.0,
) -> jax.Array:
    """SpecAugment: masks a few stretches of time, and a few bands of frequency, of every spectrogram.

    See "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", Park et al.,
    2019; the defaults are its policy LD, without the time warp, which it found to be no major factor.

    Args:
      x: (b, t, f), floating point; with mean 0, so that the mask is the mean.
      lengths: (b,) integers, or None.
      key: a PRNG key, or None for no augmentation.
      times, frequencies: how many masks of each kind, 0 or more.
      time_width, frequency_width: the widest mask of each kind; widths are drawn evenly from 0 on.
      time_share: a mask of time is no wider than this share of its row's length, either.
      fill: the value of masked elements.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: x is not (b, t, f), amounts out of range, or lengths that do not fit x.

    >>> x = jnp.ones((2, 50, 8))
    >>> spec_augment(x, lengths=None, time_width=10, frequency_width=3, key=jax.random.key(0)).shape
    (2, 50, 8)
    """
    _check("spec_augment", x, "spectrograms [b,t,f]", 3)
    check_bound("spec_augment", "time_share", time_share, 1)
    check_fill("spec_augment", x, fill)
    if min(times, time_width, frequencies, frequency_width) < 0:
        raise ValueError(
            "spec_augment: numbers and widths of masks are 0 or more, found "
            f"{times} of {time_width} in time and {frequencies} of {frequency_width} in frequency."
        )
    n = lengths_of("spec_augment", x, lengths)
    check_key("spec_augment", key, optional=True)
    if key is None:
        return x
    in_time, in_frequency = jax.random.split(key)
    widest = jnp.minimum(time_width, jnp.floor(time_share * n).astype(jnp.int32))
    time = _masks(in_time, times, widest, n, x.shape[1]) & real_places(n, x.shape[1])
    all_bands = jnp.full_like(n, x.shape[2])
    band = _masks(in_frequency, frequencies, jnp.minimum(frequency_width, all_bands), all_bands, x.shape[2])
    masked = time[:, :, None] | (band[:, None, :] & real_places(n, x.shape[1])[:, :, None])
    return jnp.where(masked, jnp.asarray(fill, x.dtype), x)


def _masks(key: jax.Array, count: int, widest: jax.Array, length: jax.Array, n: int) -> jax.Array:
    """True within any of `count` intervals a row, each 0..widest wide and inside 0..length-1: (b, n)."""
    width_key, start_key = jax.random.split(key)
    shape = (len(widest), count)
    width = jax.random.randint(width_key, shape, 0, widest[:, None] + 1)
    start = jax.random.randint(start_key, shape, 0, length[:, None] - width + 1)
    return interval(start, start + width, n).any(1)


def time_shift(x: jax.Array, most: int, *, lengths: jax.Array | None, key: jax.Array | None) -> jax.Array:
    """Time shift: moves every waveform by up to `most` samples either way; silence follows, nothing wraps around.

    See "Deep Residual Learning for Small-Footprint Keyword Spotting", Tang and Lin, 2018, with up to a
    tenth of a second.

    Args:
      x: (b, t), integers or floating point.
      most: samples, 0 or more.
      lengths: (b,) integers, or None; what moves beyond its row's length is lost.
      key: a PRNG key, or None for no augmentation.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: lengths that are not integers.
      ValueError: x is not (b, t), a negative shift, or lengths that do not fit x.

    >>> time_shift(jnp.arange(1, 5).reshape(1, 4), 0, lengths=None, key=jax.random.key(0)).tolist()
    [[1, 2, 3, 4]]
    """
    _check("time_shift", x, "waveforms [b,t]", 2, any_dtype=True)
    if most < 0:
        raise ValueError(f"time_shift: expected 0 or more samples, found {most}.")
    n = lengths_of("time_shift", x, lengths)
    check_key("time_shift", key, optional=True)
    if key is None:
        return x
    real = real_places(n, x.shape[1])
    padded = jnp.pad(jnp.where(real, x, 0), ((0, 0), (most, most)))
    starts = jax.random.randint(key, (x.shape[0],), 0, 2 * most + 1)
    moved = jax.vmap(lambda row, start: jax.lax.dynamic_slice(row, (start,), (x.shape[1],)))(padded, starts)
    return jnp.where(real, moved, x)


def add_noise(
    x: jax.Array,
    snr: tuple[float, float],
    *,
    lengths: jax.Array | None,
    key: jax.Array | None,
    noise: jax.Array | None = None,
) -> jax.Array:
    """Additive noise, at a ratio of signal to noise drawn for every waveform.

    Each row's noise is scaled by its own measured power, so the ratio is exact; a silent waveform stays
    silent. See "Deep Speech: Scaling up End-to-End Speech Recognition", Hannun et al., 2014.

    Args:
      x: (b, t), floating point.
      snr: the least and the greatest ratio in dB, drawn evenly; 10 times the logarithm of the powers' ratio.
      lengths: (b,) integers, or None.
      key: a PRNG key, or None for no noise.
      noise: (b, t), recordings to add; None for white Gaussian noise.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: x is not (b, t), ratios that are no interval, or lengths or noise that do not fit x.

    >>> add_noise(jnp.ones((1, 3)), (200.0, 200.0), lengths=None, key=jax.random.key(0)).tolist()
    [[1.0, 1.0, 1.0]]
    """
    _check("add_noise", x, "waveforms [b,t]", 2)
    if not -300 <= snr[0] <= snr[1] <= 300:
        raise ValueError(f"add_noise: snr is (least, most) in dB, within -300..300; found {snr}.")
    if noise is not None:
        checks.same_shape("add_noise", x=x, noise=noise)
    n = lengths_of("add_noise", x, lengths)
    check_key("add_noise", key, optional=True)
    if key is None:
        return x
    level, draw = jax.random.split(key)
    real = real_places(n, x.shape[1])
    added = jax.random.normal(draw, x.shape) if noise is None else noise.astype(jnp.float32)
    power = lambda a: jnp.where(real, a.astype(jnp.float32) ** 2, 0).sum(1, keepdims=True)
    ratio = 10 ** (jax.random.uniform(level, (x.shape[0], 1), minval=snr[0], maxval=snr[1]) / 20)
    scale = jnp.sqrt(power(x) / jnp.where(power(added) > 0, power(added), 1)) / ratio
    return jnp.where(real, x + (scale * added).astype(x.dtype), x)


def _check(name: str, x: jax.Array, what: str, ndim: int, *, any_dtype: bool = False) -> None:
    check_input(name, x)
    if x.ndim != ndim or x.size == 0:
        raise ValueError(f"{name}: expected a non-empty batch of {what}, found {checks.describe(x)}.")
    if not any_dtype:
        checks.floats(name, x)
