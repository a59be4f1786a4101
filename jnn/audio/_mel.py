"""What is heard of a spectrum: bands as wide as the ear's, in decibels, and the shape of those.

    filters = mel_filters(n_fft, n_mels, sample_rate)
    mfcc(decibels(mel_spectrogram(x, filters, hop_length=hop_length)), 13)

Laws: a filter bank is a matrix, which may be learned; decibels of silence are finite, and so is their gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.audio._stft import Window, loudness_of
from jnn.precision import wide

_STEP = math.log(6.4) / 27  # of Slaney's scale above 1000 Hz, which is 15 mel

# Hz to mel, and back
SCALES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "htk": (lambda f: 2595 * np.log10(1 + f / 700), lambda m: 700 * (10 ** (m / 2595) - 1)),
    "slaney": (
        lambda f: np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1000) / 1000) / _STEP),
        lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp(_STEP * (np.maximum(m, 15) - 15))),
    ),
}


def mel_filters(
    n_fft: int,
    n_mels: int,
    sample_rate: float,
    *,
    low: float = 0.0,
    high: float | None = None,
    scale: str = "slaney",
    unit_area: bool = True,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> jax.Array:
    """Mel filter bank: triangles over the frequencies of a spectrum, evenly spaced on a scale of pitch.

    Each begins at the middle of the one before and ends at the middle of the next. See "Comparison of Parametric
    Representations for Monosyllabic Word Recognition in Continuously Spoken Sentences", Davis and Mermelstein, 1980.

    Args:
      n_fft: samples a frame.
      n_mels: how many filters. One so narrow that no frequency of the spectrum falls into it is zero.
      sample_rate: samples a second.
      low, high: where the first begins and the last ends, in Hz; None for half the sample rate.
      scale: "slaney" (of the Auditory Toolbox, linear up to 1000 Hz) or "htk" (logarithmic throughout).
      unit_area: whether triangles are as high as makes their areas 1 (in Hz), as the Auditory Toolbox has them;
        otherwise all are 1 high.
      dtype: of the matrix.

    Returns:
      (n_fft // 2 + 1, n_mels).

    Raises:
      ValueError: frequencies out of order or beyond half the sample rate, another scale, or n_mels is not 1 or more.

    >>> mel_filters(8, 2, 8000.0, unit_area=False)[1].round(2)
    Array([0.78, 0.22], dtype=float32)
    """
    checks.count("mel_filters", "n_fft", n_fft)
    checks.count("mel_filters", "n_mels", n_mels)
    high = sample_rate / 2 if high is None else high
    if not 0 <= low < high <= sample_rate / 2:
        raise ValueError(
            f"mel_filters: expected 0 <= low < high <= half the sample rate of {sample_rate}, found low={low} and "
            f"high={high}."
        )
    if scale not in SCALES:
        raise ValueError(f"mel_filters: scale is one of {', '.join(SCALES)}, found {scale!r}.")
    to_mel, to_hertz = SCALES[scale]
    edges = to_hertz(np.linspace(to_mel(np.asarray(low)), to_mel(np.asarray(high)), n_mels + 2))
    begin, middle, end = edges[:-2], edges[1:-1], edges[2:]
    f = np.arange(n_fft // 2 + 1)[:, None] * sample_rate / n_fft
    rising, falling = (f - begin) / (middle - begin), (end - f) / (end - middle)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return jnp.asarray(triangles * (2 / (end - begin) if unit_area else 1), dtype)


def mel_spectrogram(
    x: jax.Array,
    filters: jax.Array,
    *,
    hop_length: int | None = None,
    window: Window = "hann",
    win_length: int | None = None,
    padding: str = "reflect",
    power: int = 2,
) -> jax.Array:
    """Mel spectrogram: how loud each band of a filter bank is in each of a signal's frames.

    See "Comparison of Parametric Representations for Monosyllabic Word Recognition in Continuously Spoken Sentences",
    Davis and Mermelstein, 1980.

    Args:
      x: (..., t), floating point.
      filters: (n_fft // 2 + 1, n_mels), of an even n_fft, such as `mel_filters` makes.
      hop_length, window, win_length, padding: as of `stft`.
      power: as of `spectrogram`; Whisper and torchaudio have 2, Tacotron 2 has 1.

    Returns:
      (..., frames, n_mels), float32, or float64 of float64.

    Raises:
      TypeError, ValueError: as `spectrogram` does; filters that are no matrix of two rows, or have more columns.

    >>> jax.jit(mel_spectrogram)(jnp.ones((2, 16)), mel_filters(8, 3, 8000.0)).shape
    (2, 9, 3)
    """
    checks.array("mel_spectrogram", filters, "filters")
    if filters.ndim != 2 or len(filters) < 2 or filters.shape[1] > len(filters):  # more bands than frequencies: turned
        raise ValueError(
            f"mel_spectrogram: expected filters (n_fft // 2 + 1, n_mels), found {checks.describe(filters)}. Type "
            "mel_filters(n_fft, n_mels, sample_rate), or take the transpose of librosa's."
        )
    n_fft = 2 * (len(filters) - 1)
    loud = loudness_of("mel_spectrogram", x, n_fft, hop_length, window, win_length, padding, power)
    # an accelerator would round the products to bfloat16, which the logarithm of a faint band shows
    return jnp.matmul(loud, filters.astype(loud.dtype), precision=jax.lax.Precision.HIGHEST)


def decibels(
    powers: jax.Array, *, floor: jax.Array | float = 1e-10, span: jax.Array | float | None = None
) -> jax.Array:
    """Decibels: `10 log10(powers)`, of what is at least `floor`.

    Args:
      powers: (..., frames, bins), floating point, 0 or more. Of magnitudes, twice as many are right.
      floor: the least power, positive; below it there is no gradient.
      span: the range below the greatest of each signal's, in decibels: what is fainter is raised to that; None for all.

    Returns:
      Its shape, float32 at least.

    Raises:
      TypeError: powers are not floating point.
      ValueError: a floor or span that is not positive; with a span, powers without frames and bins.

    >>> decibels(jnp.array([[1.0, 0.01], [0.0, 10.0]]), span=40.0).round().tolist()
    [[0.0, -20.0], [-30.0, 10.0]]
    """
    checks.floats("decibels", powers, ndim=1 if span is None else 2)
    h = wide(powers)
    least = checks.number("decibels", "floor", floor, lambda p: p > 0, "> 0", like=h)
    loud = 10 / math.log(10) * jnp.log(jnp.maximum(h, least))
    if span is None:
        return loud
    below = checks.number("decibels", "span", span, lambda s: s > 0, "> 0", like=h)
    return jnp.maximum(loud, jnp.max(loud, axis=(-2, -1), keepdims=True) - below)


def mfcc(loudness: jax.Array, coefficients: int) -> jax.Array:
    """Mel-frequency cepstral coefficients (MFCC): the shape of a spectrum, by the cosine transform of its bands.

    See "Comparison of Parametric Representations for Monosyllabic Word Recognition in Continuously Spoken Sentences",
    Davis and Mermelstein, 1980.

    Args:
      loudness: (..., n_mels), floating point: the decibels, or logarithms, of a mel spectrogram.
      coefficients: how many, at most n_mels; the first is the mean, times the root of their number.

    Returns:
      (..., coefficients), float32 at least, of the orthonormal DCT-II.

    Raises:
      TypeError: loudness is not floating point.
      ValueError: n_mels is less than coefficients.

    >>> mfcc(jnp.ones((5, 4)), 2)[0].round(5).tolist()
    [2.0, 0.0]
    """
    checks.floats("mfcc", loudness)
    checks.count("mfcc", "coefficients", coefficients)
    n = loudness.shape[-1]
    if coefficients > n:
        raise ValueError(f"mfcc: expected n_mels of {coefficients} or more, found {checks.describe(loudness)}.")
    h, order = wide(loudness), np.arange(coefficients)
    waves = np.cos(np.pi / n * (np.arange(n)[:, None] + 0.5) * order) * np.where(order == 0, 1, 2**0.5) / n**0.5
    return jnp.matmul(h, jnp.asarray(waves, h.dtype), precision=jax.lax.Precision.HIGHEST)
