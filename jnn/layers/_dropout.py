"""Dropout: noise is an argument. A key makes noise, `key=None` makes none, and forgetting it is an error.

Laws: the mean of the output is the input; `key=None` is the identity; the same key, the same noise.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.param import check_key


def dropout(x: jax.Array, rate: float, *, key: jax.Array | None, shared_axes: tuple[int, ...] = ()) -> jax.Array:
    """Dropout: sets each element to zero with probability `rate` and scales the rest by 1 / (1 - rate).

    See "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", Srivastava et al., 2014.

    Args:
      x: any shape, floating point.
      rate: the probability of *dropping*, in [0, 1); it may be traced, such as a schedule's.
      key: a PRNG key, or None for no noise. It has no default: choose.
      shared_axes: axes along which one draw is shared, such as (-2, -3) to drop whole image channels
        ("Efficient Object Localization Using Convolutional Networks", Tompson et al., 2015).

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point, or key is no PRNG key.
      ValueError: rate outside [0, 1). A traced one, whose value is unknown, gives NaN there.

    >>> dropout(jnp.ones(4), 0.5, key=None)
    Array([1., 1., 1., 1.], dtype=float32)
    """
    checks.floats("dropout", x, ndim=0)
    check_key("dropout", key, optional=True)
    rate = checks.number("dropout", "rate (of dropping)", rate, lambda r: (r >= 0) & (r < 1), "in [0, 1)", like=x)
    if key is None or (not isinstance(rate, jax.Array) and rate == 0):
        return x
    shared = {axis % x.ndim for axis in shared_axes}
    shape = [1 if axis in shared else size for axis, size in enumerate(x.shape)]
    keep = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(keep, x / (1 - rate), jnp.asarray(0 * rate, x.dtype))  # NaN for a traced rate that is none
