"""Gradient reversal: what lies before it learns to mislead what lies behind.

Law: the output is x; the derivative is -scale times that of x, forward and backward.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks


def gradient_reversal(x: jax.Array, scale: jax.Array | float = 1.0) -> jax.Array:
    """Gradient reversal layer: x as it is, and its gradient with the sign turned, times a scale.

    See "Unsupervised Domain Adaptation by Backpropagation", Ganin and Lempitsky, 2015. Between features and an
    adversary that tells from them what they should not say, one descent trains both.

    Args:
      x: (...), floating point.
      scale: of the gradient, a number or what broadcasts to x's shape; 0 stops it. It has no gradient itself.

    Returns:
      x.

    Raises:
      TypeError: x is not floating point.

    >>> jax.grad(lambda x: 3 * gradient_reversal(x, 0.5))(1.0)
    Array(-1.5, dtype=float32, weak_type=True)
    """
    checks.floats("gradient_reversal", x, ndim=0)
    return _reversal(x, jax.lax.stop_gradient(scale))


@jax.custom_jvp
def _reversal(x: jax.Array, scale: jax.Array | float) -> jax.Array:
    return x


@_reversal.defjvp
def _turned(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[jax.Array, jax.Array]:
    x, scale = primals
    return x, (-scale * tangents[0]).astype(jnp.result_type(x))
