"""Maps onto the probability simplex beside softmax: results are >= 0 and add up to 1 along the axis."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.activations._saturating import softmax
from jnn.param import check_key
from jnn.precision import wide


def softmin(x: jax.Array, axis: int = -1) -> jax.Array:
    """Softmin: softmax(-x), so that the smallest weighs most.

    >>> softmin(jnp.array([0.0, 100.0]))
    Array([1., 0.], dtype=float32)
    """
    checks.floats("softmin", x)
    return softmax(-x, axis=axis)


def sparsemax(x: jax.Array, axis: int = -1) -> jax.Array:
    """Sparsemax: the point of the simplex that is nearest to x: as softmax, but with exact zeros.

    See "From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label Classification", Martins and
    Astudillo, 2016.

    Args:
      x: any shape of rank >= 1, floating point.
      axis: the axis of the simplex.

    Returns:
      x's shape and dtype; computed in float32 at least.

    Raises:
      TypeError: x is not floating point.

    >>> sparsemax(jnp.array([1.0, 0.5, -1.0]))
    Array([0.75, 0.25, 0.  ], dtype=float32)
    """
    checks.floats("sparsemax", x)
    z = jnp.moveaxis(wide(x), axis, -1)
    z = z - jnp.max(z, axis=-1, keepdims=True)  # the result does not change, and large numbers keep their digits
    ordered = -jnp.sort(-z, axis=-1)
    rank = jax.lax.broadcasted_iota(z.dtype, z.shape, z.ndim - 1) + 1
    support = jnp.sum(1 + rank * ordered > jnp.cumsum(ordered, axis=-1), axis=-1, keepdims=True)
    tau = (jnp.sum(jnp.where(rank <= support, ordered, 0.0), axis=-1, keepdims=True) - 1) / support
    return jnp.moveaxis(jnp.maximum(z - tau, 0.0), -1, axis).astype(x.dtype)


def gumbel_softmax(
    x: jax.Array, temperature: jax.Array | float = 1.0, axis: int = -1, *, key: jax.Array | None
) -> jax.Array:
    """Gumbel-softmax: a soft sample from the categorical distribution softmax(x), differentiable in x.

    See "Categorical Reparameterization with Gumbel-Softmax", Jang, Gu and Poole, 2016.

    Args:
      x: logits of any shape of rank >= 1, floating point.
      temperature: towards 0 the sample is one-hot; it may be traced, such as a schedule's.
      axis: the axis of the classes.
      key: a PRNG key, or None for softmax(x / temperature). It has no default: choose.

    Returns:
      x's shape and dtype; computed in float32 at least.

    Raises:
      TypeError: x is not floating point.
      ValueError: temperature is not positive. A traced one, whose value is unknown, gives NaN then.

    >>> gumbel_softmax(jnp.array([0.0, 0.0]), key=None)
    Array([0.5, 0.5], dtype=float32)
    """
    checks.floats("gumbel_softmax", x)
    check_key("gumbel_softmax", key, optional=True)
    z = wide(x)
    temperature = checks.number("gumbel_softmax", "temperature", temperature, lambda t: t > 0, "> 0", like=z)
    noise = 0.0 if key is None else jax.random.gumbel(key, z.shape, z.dtype)
    z = z + noise
    z = z - jax.lax.stop_gradient(jnp.max(z, axis=axis, keepdims=True))  # so that large logits do not overflow below
    return softmax(z / temperature, axis=axis).astype(x.dtype)
