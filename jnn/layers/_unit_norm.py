"""Vectors of length 1. Laws: scaling x changes nothing; zero stays zero, with a gradient of zero."""

from __future__ import annotations

import jax

from jnn import checks
from jnn.vectors import unit


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

    >>> unit_norm(jax.numpy.array([3e30, 4e30])).round(3), unit_norm(jax.numpy.zeros(2))
    (Array([0.6, 0.8], dtype=float32), Array([0., 0.], dtype=float32))
    """
    checks.floats("unit_norm", x)
    return unit(x, axis).astype(x.dtype)
