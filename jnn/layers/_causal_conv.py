"""Causal convolution of each feature with a filter of its own, of a sequence in pieces: short, or as long as wanted.

    short_conv(w, x, past) -> (y, past)         few taps, one after another
    long_conv(w, x, past) -> (y, past)          any number of taps, by FFT

Axes: `t` time, `l` taps, `d` features (any number of axes).

Laws: both are the same function; cut a sequence into chunks anywhere: chunk after chunk is the whole.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide, wide_dtype


def short_conv(w: jax.Array, x: jax.Array, past: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Short causal convolution, depthwise: `y[t] = sum of w[i] * x[t - i]`.

    See "Hungry Hungry Hippos: Towards Language Modeling with State Space Models", Fu et al., 2023.

    Args:
      w: (l, *d), floating point; w[0] meets the present. (torch's Conv1d has the present last.)
      x: (..., t, *d), floating point: the next chunk of a sequence.
      past: (..., l - 1, *d), from the chunk before; None for zeros.

    Returns:
      (..., t, *d) in x's dtype, and the past of the next chunk.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> short_conv(jnp.array([[1.0], [10.0]]), jnp.array([[1.0], [2.0], [3.0]]))[0].ravel().tolist()
    [1.0, 12.0, 23.0]
    """
    rows, past = _joined("short_conv", w, x, past)
    (taps, *_), t, axis = w.shape, x.shape[-w.ndim], x.ndim - w.ndim
    seen, exact = wide(rows), wide(w).reshape(taps, *(1,) * axis, 1, *w.shape[1:])
    at = lambda i: jax.lax.slice_in_dim(seen, taps - 1 - i, taps - 1 - i + t, axis=axis)
    y = exact[0] * at(0)
    for i in range(1, taps):
        y = y + exact[i] * at(i)
    return y.astype(x.dtype), past


def long_conv(w: jax.Array, x: jax.Array, past: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Long causal convolution, depthwise, by FFT: `y[t] = sum of w[i] * x[t - i]`, in O(t log t).

    See "Hyena Hierarchy: Towards Larger Convolutional Language Models", Poli et al., 2023.

    Args:
      w, x, past: as in `short_conv`.

    Returns:
      (..., t, *d) in x's dtype, computed in float32 at least; and the past of the next chunk.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> y, _ = long_conv(jnp.array([[1.0], [10.0]]), jnp.array([[1.0], [2.0], [3.0]]))
    >>> bool(jnp.allclose(y.ravel(), jnp.array([1.0, 12.0, 23.0])))
    True
    """
    rows, past = _joined("long_conv", w, x, past)
    axis = x.ndim - w.ndim
    y = jax.lax.slice_in_dim(fft_conv(w, rows), w.shape[0] - 1, None, axis=axis)
    return y.astype(x.dtype), past


def fft_conv(w: jax.Array, x: jax.Array) -> jax.Array:
    """The convolution alone, (l, *d) with (..., t, *d), of which the first t; in float32 at least."""
    axis, t = x.ndim - w.ndim, x.shape[x.ndim - w.ndim]
    size = _smooth(t + min(w.shape[0], t) - 1)
    exact = jnp.promote_types(wide_dtype(w), wide_dtype(x))
    filters = jnp.fft.rfft(w[:t].astype(exact), size, axis=0).reshape((1,) * axis + (-1, *w.shape[1:]))
    y = jnp.fft.irfft(filters * jnp.fft.rfft(x.astype(exact), size, axis=axis), size, axis=axis)
    return jax.lax.slice_in_dim(y, 0, t, axis=axis)


def _smooth(n: int) -> int:
    """The least power of two, or three quarters of one, that is n at least: FFTs like these."""
    power = 1 << (n - 1).bit_length()
    return power // 4 * 3 if power >= 4 and power // 4 * 3 >= n else power


def _joined(layer: str, w: jax.Array, x: jax.Array, past: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """x behind its past, and what is the past then."""
    checks.array(layer, w, "w")
    checks.floats(layer, x, ndim=w.ndim)
    checks.trailing(layer, x, w.shape[1:])
    axis, taps = x.ndim - w.ndim, w.shape[0]
    shape = (*x.shape[:axis], taps - 1, *w.shape[1:])
    if past is None:
        past = jnp.zeros(shape, x.dtype)
    elif past.shape != shape:
        raise ValueError(f"{layer}: expected a past of {shape}, found {checks.describe(past)}.")
    rows = jnp.concatenate([past.astype(x.dtype), x], axis)
    return rows, jax.lax.slice_in_dim(rows, rows.shape[axis] - (taps - 1), None, axis=axis)
