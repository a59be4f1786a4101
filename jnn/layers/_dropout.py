"""Dropout: noise is an argument. A key makes noise, `key=None` makes none, and forgetting it is an error.

Laws: the mean of the output is the input; `key=None` is the identity; the same key, the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.param import check_key
from jnn.precision import wide


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
    return multiplied("dropout", x, rate, key, shared_axes)


def multiplied(
    layer: str, x: jax.Array, rate: float, key: jax.Array | None, shared_axes: tuple[int, ...] = ()
) -> jax.Array:
    """`dropout`, with the errors of this layer."""
    rate = checked_rate(layer, x, rate, key)
    if key is None or is_zero(rate):
        return x
    keep = kept(x, rate, key, shared_axes)
    return jnp.where(keep, x / (1 - rate), jnp.asarray(0 * rate, x.dtype))  # NaN for a traced rate that is none


def checked_rate(layer: str, x: jax.Array, rate: float, key: jax.Array | None) -> float:
    """The rate, once it is known to be in [0, 1), and x and key to be what they should."""
    checks.floats(layer, x, ndim=0)
    check_key(layer, key, optional=True)
    fits = lambda r: (r >= 0) & (r < 1)
    return cast(float, checks.number(layer, "rate (of dropping)", rate, fits, "in [0, 1)", like=x))


def is_zero(rate: float) -> bool:
    """Whether the rate is known to be zero."""
    return not isinstance(rate, jax.Array) and rate == 0


def kept(x: jax.Array, rate: float, key: jax.Array, shared_axes: tuple[int, ...] = ()) -> jax.Array:
    """Which elements stay, one draw for all along the shared axes, which have size 1."""
    shared = {axis % x.ndim for axis in shared_axes}
    shape = [1 if axis in shared else size for axis, size in enumerate(x.shape)]
    return happens(key, 1 - rate, shape)


def happens(key: jax.Array, p: float, shape: Sequence[int]) -> jax.Array:
    """What happens with probability p: a traced p of 16 bits draws no coarser than another one."""
    return jax.random.bernoulli(key, wide(p) if isinstance(p, jax.Array) else p, tuple(shape))
