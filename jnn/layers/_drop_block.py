"""DropBlock: dropout of contiguous regions of an image. Laws: `key=None` is the identity; a constant keeps its mean."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._dropout import checked_rate, happens, is_zero
from jnn.layers._pool import max_pool
from jnn.layers._window import sliding
from jnn.precision import wide, wide_dtype


def drop_block(x: jax.Array, rate: float, block: Sequence[int], *, key: jax.Array | None) -> jax.Array:
    """DropBlock: sets blocks of neighbouring pixels to zero, in each channel by itself.

    See "DropBlock: A Regularization Method for Convolutional Networks", Ghiasi, Lin and Le, 2018. What is left of an
    example is scaled so that a constant keeps its mean.

    Args:
      x: (..., *spatial, c), floating point.
      rate: which share of pixels is to be dropped, about, in [0, 1); it may be traced.
      block: the size of a block along each spatial axis, at most the image's.
      key: a PRNG key, or None for no noise. It has no default: choose.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point, or key is no PRNG key.
      ValueError: rate outside [0, 1), or a block that does not fit.

    >>> drop_block(jnp.ones((4, 4, 1)), 0.5, (2, 2), key=None).shape
    (4, 4, 1)
    """
    size = sliding("drop_block", block).size
    n = len(size)
    checks.floats("drop_block", x, ndim=n + 1)
    spatial = x.shape[-1 - n : -1]
    if any(k > of for k, of in zip(size, spatial, strict=True)):
        raise ValueError(f"drop_block: a block {size} does not fit into the spatial axes {spatial}.")
    rate = checked_rate("drop_block", x, rate, key)
    if key is None or is_zero(rate):
        return x
    keep = _outside_of_blocks(x, rate, size, key)
    axes = tuple(range(-1 - n, 0))
    share = jnp.mean(keep, axes, keepdims=True) + 0 * rate  # NaN for a traced rate that is none
    return (wide(x) * keep / jnp.where(share == 0, 1, share)).astype(x.dtype)


def _outside_of_blocks(x: jax.Array, rate: float, size: tuple[int, ...], key: jax.Array) -> jax.Array:
    """1 where no block lies, else 0: blocks begin at random, within the image, as often as makes the rate."""
    spatial = x.shape[-1 - len(size) : -1]
    starts = tuple(n - k + 1 for n, k in zip(spatial, size, strict=True))
    share = 1.0
    for n, k, start in zip(spatial, size, starts, strict=True):
        share *= n / (k * start)
    shape = (*x.shape[: x.ndim - len(size) - 1], *starts, x.shape[-1])
    begins = happens(key, rate * share, shape).astype(wide_dtype(x))
    return 1 - max_pool(begins, size, stride=1, padding=[(k - 1, k - 1) for k in size])
