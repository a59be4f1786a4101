"""Local response normalization: each channel by the squares of its neighbours. Laws: no place sees another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide


def local_response_norm(
    x: jax.Array, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> jax.Array:
    """Local response normalization: `x / (k + alpha * mean(x ** 2)) ** beta`, over `size` neighbouring channels.

    See "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky, Sutskever and Hinton, 2012, with
    the mean of torch for their sum; beyond the first and the last channel there are zeros.

    Args:
      x: (..., c), floating point.
      size: how many channels, `size // 2` before each and the others from it on.
      alpha, beta, k: as above; k > 0.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: size < 1, k <= 0, or x is empty.

    >>> local_response_norm(jnp.array([2.0, 0.0]), 1, alpha=1.0, beta=1.0).round(3)
    Array([0.4, 0. ], dtype=float32)
    """
    checks.floats("local_response_norm", x)
    if size < 1 or k <= 0:
        raise ValueError(f"local_response_norm: expected size >= 1 and k > 0, found size={size} and k={k}.")
    h = wide(x)
    window, before = (1,) * (h.ndim - 1) + (size,), size // 2
    pads = [(0, 0)] * (h.ndim - 1) + [(before, size - 1 - before)]
    total = jax.lax.reduce_window(jnp.square(h), np.zeros((), h.dtype), jax.lax.add, window, (1,) * h.ndim, pads)
    return (h * (k + alpha * total / size) ** -beta).astype(x.dtype)
