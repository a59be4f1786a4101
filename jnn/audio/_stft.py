"""The Fourier transform of short frames, and how loud each frequency is in them.

    stft(x, n_fft) -> (..., frames, n_fft // 2 + 1), complex
    spectrogram(x, n_fft, power=2)                  its squares, or with power=1 its magnitudes

Laws: silence before a signal, `hop_length` samples of it, moves its frames by one; a transform is linear in x.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide
from jnn.vectors import length

Window = str | jax.Array  # by name, or its values

# a[0] - a[1] cos(z) + a[2] cos(2z), where z goes around once in a window
WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "blackman": (0.42, 0.5, 0.08), "ones": (1.0,)}


def stft(
    x: jax.Array,
    n_fft: int,
    *,
    hop_length: int | None = None,
    window: Window = "hann",
    win_length: int | None = None,
    padding: str = "reflect",
) -> jax.Array:
    """Short-time Fourier transform (STFT): the spectrum of each of a signal's overlapping frames.

    See "Short Term Spectral Analysis, Synthesis, and Modification by Discrete Fourier Transform", Allen, 1977.

    Args:
      x: (..., t), floating point.
      n_fft: samples a frame.
      hop_length: samples from one frame to the next; None for a quarter of a frame.
      window: what frames are weighed with: "hann", "hamming", "blackman", "ones" (all periodic), or an array (l,).
      win_length: l, at most n_fft; None for n_fft. A shorter window stands in the middle of its frame.
      padding: "reflect" or "zeros", where frames are centred at 0, hop_length, ... and half a frame is put before and
        after the signal: 1 + t // hop_length of an even size; or "VALID", where all begin and end within it.

    Returns:
      (..., frames, n_fft // 2 + 1), complex64, or complex128 of float64. (torch has frames last.)

    Raises:
      TypeError: x is not floating point.
      ValueError: x is shorter than a frame, or to be mirrored and no longer than half of one; or an option is none of
        the above.

    >>> stft(jnp.ones(8), 4, window="ones", padding="VALID").real.tolist()[:2]
    [[4.0, 0.0, 0.0], [4.0, 0.0, 0.0]]
    """
    return _transformed("stft", x, n_fft, hop_length, window, win_length, padding)


def spectrogram(
    x: jax.Array,
    n_fft: int,
    *,
    hop_length: int | None = None,
    window: Window = "hann",
    win_length: int | None = None,
    padding: str = "reflect",
    power: int = 2,
) -> jax.Array:
    """Spectrogram: how loud each frequency is in each of a signal's frames, as a power or a magnitude.

    See "The Sound Spectrograph", Koenig, Dunn and Lacy, 1946.

    Args:
      x: (..., t), floating point.
      n_fft, hop_length, window, win_length, padding: as of `stft`.
      power: 2 for powers, 1 for magnitudes, whose gradient at 0 is 0.

    Returns:
      (..., frames, n_fft // 2 + 1), float32, or float64 of float64. A power of samples beyond 1e15 is infinite.

    Raises:
      TypeError, ValueError: as `stft` does; another power.

    >>> spectrogram(jnp.ones(8), 4, window="ones", padding="VALID").tolist()[0]
    [16.0, 0.0, 0.0]
    """
    return loudness_of("spectrogram", x, n_fft, hop_length, window, win_length, padding, power)


def pre_emphasis(x: jax.Array, coefficient: jax.Array | float = 0.97) -> jax.Array:
    """Pre-emphasis: `y[t] = x[t] - coefficient * x[t - 1]`, which lifts high frequencies; the first sample stays.

    See "Linear Prediction of Speech", Markel and Gray, 1976.

    Args:
      x: (..., t), floating point.
      coefficient: in [0, 1].

    Returns:
      x's shape, float32 at least.

    Raises:
      TypeError: x is not floating point.
      ValueError: a coefficient out of range, or x is empty.

    >>> pre_emphasis(jnp.array([1.0, 1.0, 2.0]), 0.5).tolist()
    [1.0, 0.5, 1.5]
    """
    checks.floats("pre_emphasis", x)
    by = checks.number("pre_emphasis", "coefficient", coefficient, lambda c: (c >= 0) & (c <= 1), "in [0, 1]", like=x)
    h = wide(x)
    return h - by * jnp.pad(h, [(0, 0)] * (h.ndim - 1) + [(1, 0)])[..., :-1]


def loudness_of(
    name: str,
    x: jax.Array,
    n_fft: int,
    hop_length: int | None,
    window: Window,
    win_length: int | None,
    padding: str,
    power: int,
) -> jax.Array:
    """`spectrogram`, for whoever is called `name`."""
    if power not in (1, 2):
        raise ValueError(f"{name}: power is 2 (squares) or 1 (magnitudes), found {power!r}.")
    z = _transformed(name, x, n_fft, hop_length, window, win_length, padding)
    return z.real**2 + z.imag**2 if power == 2 else length(jnp.stack([z.real, z.imag], -1))


def _transformed(
    name: str, x: jax.Array, n_fft: int, hop_length: int | None, window: Window, win_length: int | None, padding: str
) -> jax.Array:
    checks.floats(name, x)
    checks.count(name, "n_fft", n_fft)
    hop_length = max(1, n_fft // 4) if hop_length is None else hop_length
    checks.count(name, "hop_length", hop_length)
    weights = _window(name, window, win_length, n_fft)
    frames = _frames(_padded(name, wide(x), n_fft, padding), n_fft, hop_length)
    return jnp.fft.rfft(frames * jnp.asarray(weights, frames.dtype).reshape((1,) * x.ndim + (-1,)))


def _window(name: str, window: Window, win_length: int | None, n_fft: int) -> jax.Array | np.ndarray:
    """A frame's weights: the window in its middle, zeros around it."""
    if isinstance(window, str) and window not in WINDOWS:
        raise ValueError(f"{name}: window is one of {', '.join(WINDOWS)}, or an array; found {window!r}.")
    values = _named(window, n_fft if win_length is None else win_length) if isinstance(window, str) else window
    checks.array(name, values, "window")
    size = values.shape[0] if values.ndim == 1 else 0
    if not 1 <= size <= n_fft or (win_length is not None and size != win_length):
        raise ValueError(
            f"{name}: expected a window of 1 to {n_fft} samples, which is n_fft, found {checks.describe(values)} and "
            f"win_length={win_length}."
        )
    before = (n_fft - size) // 2
    pads = (before, n_fft - size - before)
    return np.pad(values, pads) if isinstance(values, np.ndarray) else jnp.pad(values, pads)


def _named(window: str, size: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(size) / max(size, 1)
    return sum((a * (-1) ** i * np.cos(i * angle) for i, a in enumerate(WINDOWS[window])), np.zeros(max(size, 0)))


def _padded(name: str, x: jax.Array, n_fft: int, padding: str) -> jax.Array:
    """The signal with half a frame before and after it, unless frames are to lie within it."""
    if padding not in ("reflect", "zeros", "VALID"):
        raise ValueError(f"{name}: padding is 'reflect', 'zeros' or 'VALID', found {padding!r}.")
    half = 0 if padding == "VALID" else n_fft // 2
    if x.shape[-1] + 2 * half < n_fft or (padding == "reflect" and x.shape[-1] <= half):
        raise ValueError(
            f"{name}: a signal of {x.shape[-1]} samples is too short for frames of {n_fft} with padding={padding!r}. "
            "Give a smaller n_fft, or fill the signal up with zeros."
        )
    if padding == "VALID":
        return x
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)], mode="reflect" if padding == "reflect" else "constant")


def _frames(x: jax.Array, size: int, hop_length: int) -> jax.Array:
    """(..., t) -> (..., frames, size): whole hops are gathered, as many as a frame has, rather than samples."""
    n, hops = 1 + (x.shape[-1] - size) // hop_length, -(-size // hop_length)
    whole = (n + hops - 1) * hop_length
    if whole > x.shape[-1]:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, whole - x.shape[-1])])
    blocks = x[..., :whole].reshape(*x.shape[:-1], n + hops - 1, hop_length)
    together = blocks[..., np.arange(n)[:, None] + np.arange(hops), :]
    return together.reshape(*x.shape[:-1], n, hops * hop_length)[..., :size]
