"""Vectors of length 1. Laws: scaling x changes nothing; zero stays zero, with a gradient of zero."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide


def unit_norm(x: jax.Array, axis: int | tuple[int, ...] = -1) -> jax.Array:
    """L2 normalization: `x / norm(x)`, for cosines of angles and points on a sphere.

    Args:
      x: any shape, floating point.
      axis: along which the norm is taken, or several.

    Returns:
      x's shape and dtype; of each vector of zeros, zeros. No square is out of range, however long or short x is.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is empty.

    >>> unit_norm(jnp.array([3e30, 4e30])).round(3), unit_norm(jnp.zeros(2))
    (Array([0.6, 0.8], dtype=float32), Array([0., 0.], dtype=float32))
    """
    checks.floats("unit_norm", x)
    h = wide(x)
    there, unit = unit_of(jnp.max(jnp.abs(h), axis, keepdims=True))
    h = h / unit
    square = jnp.sum(jnp.square(h), axis, keepdims=True)
    return jnp.where(there, h * jax.lax.rsqrt(jnp.where(there, square, 1.0)), 0.0).astype(x.dtype)


def unit_of(largest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where the largest of some numbers is not zero, and what to divide them by, so that no power is out of range."""
    largest = jax.lax.stop_gradient(largest)
    there = largest > 0
    # less than what has no inverse: XLA may multiply by that instead
    return there, jnp.where(there, jnp.minimum(largest, jnp.finfo(largest.dtype).max / 64), 1)
