"""Noise that keeps what a layer behind it expects: the mean, or mean and variance, of its input.

Laws: `key=None` is the identity; the same key, the same noise; the mean over keys is x (`alpha_dropout`: of inputs of
mean 0 and variance 1, mean and variance over elements stay).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._dropout import checked_rate, is_zero, kept
from jnn.param import check_key
from jnn.precision import wide, wide_dtype

SELU_MINIMUM = -1.7580993408473766  # of SELU: minus its scale times its alpha


def gaussian_noise(x: jax.Array, std: float, *, key: jax.Array | None) -> jax.Array:
    """Gaussian noise: adds normal noise of this standard deviation.

    See "Training with Noise is Equivalent to Tikhonov Regularization", Bishop, 1995.

    Args:
      x: any shape, floating point.
      std: the standard deviation, >= 0; it may be traced.
      key: a PRNG key, or None for no noise. It has no default: choose.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point, or key is no PRNG key.
      ValueError: std < 0. A traced one, whose value is unknown, gives NaN there.

    >>> gaussian_noise(jnp.ones(2), 0.1, key=None).tolist()
    [1.0, 1.0]
    """
    checks.floats("gaussian_noise", x, ndim=0)
    check_key("gaussian_noise", key, optional=True)
    std = checks.number("gaussian_noise", "std", std, lambda s: s >= 0, ">= 0", like=x)
    if key is None:
        return x
    return (wide(x) + std * jax.random.normal(key, x.shape, wide_dtype(x))).astype(x.dtype)


def gaussian_dropout(x: jax.Array, rate: float, *, key: jax.Array | None) -> jax.Array:
    """Gaussian dropout: multiplies by normal noise of mean 1 and variance rate / (1 - rate), which is dropout's.

    See "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", Srivastava et al., 2014, section 10.

    Args:
      x: any shape, floating point.
      rate, key: as in `dropout`.

    Returns:
      x's shape and dtype.

    Raises:
      As `dropout`.

    >>> gaussian_dropout(jnp.ones(2), 0.5, key=None).tolist()
    [1.0, 1.0]
    """
    rate = checked_rate("gaussian_dropout", x, rate, key)
    if key is None or is_zero(rate):
        return x
    std = jnp.sqrt(jnp.asarray(rate / (1 - rate), wide_dtype(x)))
    return (wide(x) * (1 + std * jax.random.normal(key, x.shape, wide_dtype(x)))).astype(x.dtype)


def alpha_dropout(x: jax.Array, rate: float, *, key: jax.Array | None, shared_axes: tuple[int, ...] = ()) -> jax.Array:
    """Alpha dropout: for networks of SELUs, sets elements to SELU's minimum, and keeps mean 0 and variance 1.

    See "Self-Normalizing Neural Networks", Klambauer et al., 2017.

    Args:
      x: any shape, floating point.
      rate, key, shared_axes: as in `dropout`; sharing the spatial axes is feature alpha dropout.

    Returns:
      x's shape and dtype.

    Raises:
      As `dropout`.

    >>> alpha_dropout(jnp.ones(2), 0.5, key=None).tolist()
    [1.0, 1.0]
    """
    rate = checked_rate("alpha_dropout", x, rate, key)
    if key is None or is_zero(rate):
        return x
    keep = kept(x, rate, key, shared_axes)
    gain = ((1 - rate) * (1 + rate * SELU_MINIMUM**2)) ** -0.5
    return (gain * (jnp.where(keep, wide(x), SELU_MINIMUM) - rate * SELU_MINIMUM)).astype(x.dtype)
