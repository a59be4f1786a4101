"""Vectors of any length, and of length 1: what layers, losses and metrics share.

    unit(x), length(x)          x over its norm, and the norm
    scale_of(largest)           what to divide by, so that no power is out of range

Laws: float32 at least; no square is out of range, however long or short a vector is; zeros are 0, with a gradient of 0;
NaN stays NaN. Of a constant of a compiled program, XLA computes (a / b)**2 as a**2 / b**2: beyond 1e19 it is NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.precision import wide


def unit(x: jax.Array, axis: int | tuple[int, ...] = -1) -> jax.Array:
    """x over its Euclidean norm along these axes; zeros stay zeros.

    >>> unit(jnp.array([3e30, 4e30])).round(3), unit(jnp.zeros(2))
    (Array([0.6, 0.8], dtype=float32), Array([0., 0.], dtype=float32))
    """
    h = wide(x)
    there, scale = scale_of(jnp.max(jnp.abs(h), axis, keepdims=True))
    h = h / scale  # the answer does not hang on it, nor does its gradient
    square = jnp.sum(jnp.square(h), axis, keepdims=True)
    return jnp.where(there, h * jax.lax.rsqrt(jnp.where(there, square, 1.0)), 0.0)


def length(x: jax.Array) -> jax.Array:
    """The Euclidean norm of x (..., d).

    >>> length(jnp.array([3.0, 4.0]))
    Array(5., dtype=float32)
    """
    h = wide(x)
    there, scale = scale_of(jnp.max(jnp.abs(h), axis=-1))
    square = jnp.sum(jnp.square(h / scale[..., None]), axis=-1)
    return jnp.where(there, scale * jnp.sqrt(jnp.where(there, square, 1.0)), 0.0)


def scale_of(largest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where the largest of some numbers is not zero, and what to divide them by, so that no power is out of range."""
    largest = jax.lax.stop_gradient(largest)
    kind = jnp.finfo(largest.dtype)
    there = ~(largest <= kind.tiny)
    # between what has an inverse: XLA may multiply by that instead
    return there, jnp.where(there, jnp.minimum(largest, kind.max / 64), 1)
