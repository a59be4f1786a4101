"""Activations that combine features: halves that gate each other, the greatest of a group, both signs.

The gates are those of "GLU Variants Improve Transformer", Shazeer, 2020: x is split in two halves along
`axis`, and the *first* goes through the nonlinearity. (`jax.nn.glu`, as torch's, gates with the second.)
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.activations._saturating import elementwise


def swiglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """SwiGLU: silu(a) * b, for the halves a, b of x.

    Args:
      x: any shape of rank >= 1, floating point, of even size along axis.
      axis: the axis to halve.

    Returns:
      x's shape with that axis halved, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: the axis has an odd size.

    >>> swiglu(jnp.array([0.0, 100.0, 7.0, 2.0]))
    Array([  0., 200.], dtype=float32)
    """
    return _gate("swiglu", jax.nn.silu, x, axis)


def geglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """GEGLU: gelu(a) * b, with the exact GELU, for the halves a, b of x.

    Args:
      x: any shape of rank >= 1, floating point, of even size along axis.
      axis: the axis to halve.

    Returns:
      x's shape with that axis halved, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: the axis has an odd size.

    >>> geglu(jnp.array([0.0, 100.0, 7.0, 2.0]))
    Array([  0., 200.], dtype=float32)
    """
    return _gate("geglu", lambda a: jax.nn.gelu(a, approximate=False), x, axis)


def reglu(x: jax.Array, axis: int = -1) -> jax.Array:
    """ReGLU: relu(a) * b, for the halves a, b of x.

    Args:
      x: any shape of rank >= 1, floating point, of even size along axis.
      axis: the axis to halve.

    Returns:
      x's shape with that axis halved, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: the axis has an odd size.

    >>> reglu(jnp.array([-1.0, 100.0, 7.0, 2.0]))
    Array([  0., 200.], dtype=float32)
    """
    return _gate("reglu", jax.nn.relu, x, axis)


def maxout(x: jax.Array, pieces: int, axis: int = -1) -> jax.Array:
    """Maxout: the greatest of each `pieces` neighbours.

    See "Maxout Networks", Goodfellow et al., 2013.

    Args:
      x: any shape of rank >= 1, floating point.
      pieces: the size of a group; it divides the size of the axis.
      axis: the axis to group.

    Returns:
      x's shape with that axis divided by pieces, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: pieces does not divide the size of the axis.

    >>> maxout(jnp.array([1.0, 5.0, 2.0, -3.0]), 2)
    Array([5., 2.], dtype=float32)
    """
    checks.floats("maxout", x)
    axis %= x.ndim
    if pieces < 1 or x.shape[axis] % pieces:
        raise ValueError(
            f"maxout: expected a number of pieces that divides axis {axis} of {checks.describe(x)}, found {pieces}."
        )
    return jnp.max(x.reshape(*x.shape[:axis], -1, pieces, *x.shape[axis + 1 :]), axis=axis + 1)


def crelu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Concatenated ReLU: relu(x) and relu(-x) one after the other: twice the features, and no information lost.

    See "Understanding and Improving Convolutional Neural Networks via Concatenated Rectified Linear Units",
    Shang, Sohn, Almeida and Lee, 2016.

    >>> crelu(jnp.array([1.0, -2.0]))
    Array([1., 0., 0., 2.], dtype=float32)
    """
    checks.floats("crelu", x)
    return jnp.concatenate([jax.nn.relu(x), jax.nn.relu(-x)], axis=axis)


def _gate(name: str, activation: Callable[[jax.Array], jax.Array], x: jax.Array, axis: int) -> jax.Array:
    checks.floats(name, x)
    if x.shape[axis] % 2:
        raise ValueError(f"{name}: expected an even size along axis {axis} to halve, found {checks.describe(x)}.")
    a, b = jnp.split(x, 2, axis=axis)
    return elementwise(lambda a, b: activation(a) * b)(a, b)
