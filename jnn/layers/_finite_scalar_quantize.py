"""Finite scalar quantization: no codebook, every feature rounded. Laws: every code has values of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide


def finite_scalar_quantize(x: jax.Array, levels: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """Finite scalar quantization, FSQ: every feature bounded and rounded to a few levels, straight through.

    See "Finite Scalar Quantization: VQ-VAE Made Simple", Mentzer, Minnen, Agustsson and Tschannen, 2024.

    Args:
      x: (..., d), floating point.
      levels: of each of the d features, 2 or more; (8, 5, 5, 5) makes a codebook of 1000.

    Returns:
      Values (..., d) within [-1, 1], in x's dtype, and ids (...), int32, in 0..prod(levels)-1: the first feature is
      the fastest digit.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has not a feature for each of the levels, there are fewer than 2, or more than 2^31 codes.

    >>> values, ids = finite_scalar_quantize(jnp.array([[9.0, -9.0], [0.0, 0.0]]), (3, 5))
    >>> values.tolist(), ids.tolist()
    ([[1.0, -1.0], [0.0, 0.0]], [2, 7])
    """
    checks.floats("finite_scalar_quantize", x)
    checks.trailing("finite_scalar_quantize", x, (len(levels),))
    if min(levels) < 2:
        raise ValueError(f"finite_scalar_quantize: expected 2 levels or more for each feature, found {tuple(levels)}.")
    if math.prod(levels) > 2**31:
        raise ValueError(
            f"finite_scalar_quantize: {math.prod(levels)} codes of levels {tuple(levels)} have no int32 ids."
        )
    exact = wide(x)
    row = lambda a: jnp.asarray(a, exact.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    count = np.asarray(levels)
    half, offset = (count - 1) * (1 + 1e-3) / 2, np.where(count % 2 == 0, 0.5, 0.0)
    bounded = jnp.tanh(exact + row(np.arctanh(offset / half))) * row(half) - row(offset)
    whole = bounded + jax.lax.stop_gradient(jnp.round(bounded) - bounded)
    digits = jnp.round(jax.lax.stop_gradient(whole)).astype(jnp.int32) + row(count // 2).astype(jnp.int32)
    places = np.array([math.prod(levels[:i]) for i in range(len(levels))], np.int32).reshape(
        (1,) * (x.ndim - 1) + (-1,)
    )
    return (whole / row(count // 2)).astype(x.dtype), jnp.sum(digits * places, -1, dtype=jnp.int32)
