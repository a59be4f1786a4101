"""Guidance: a condition that counts for more than it says.

Laws: a scale of 1 is the conditional function, 0 the unconditional one, and between and beyond lie straight lines.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from jnn.precision import wide

Denoise = Callable[[jax.Array, jax.Array], jax.Array]


def guided(conditional: Denoise, unconditional: Denoise, scale: jax.Array | float) -> Denoise:
    """Classifier-free guidance: away from what is predicted without a condition, beyond what is predicted with it.

    See "Classifier-Free Diffusion Guidance", Ho and Salimans, 2022, whose weight w is `scale - 1`. Both are often one
    network, which has seen some of the data without their condition.

    Args:
      conditional: `(x, level) -> prediction` with a condition; or a flow's `(x, time) -> velocity`.
      unconditional: the same without one.
      scale: 1 for the condition as it is, more to insist on it; it may be traced.

    Returns:
      `(x, level) -> unconditional + scale * (conditional - unconditional)`, for any sampler; in x's dtype.

    >>> import jax.numpy as jnp
    >>> guided(lambda x, level: x + 1, lambda x, level: x, 3.0)(jnp.zeros(2), jnp.array(0.5)).tolist()
    [3.0, 3.0]
    """

    def denoise(x: jax.Array, level: jax.Array) -> jax.Array:
        yes, no = wide(conditional(x, level)), wide(unconditional(x, level))
        return (no + scale * (yes - no)).astype(x.dtype)

    return denoise
