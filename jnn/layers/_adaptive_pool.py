"""Pooling to a given output size, channels last: x is (..., *spatial, channels).

Laws: to size 1 it is global pooling, and to a divisor of the input it is pooling by windows that tile it; to the
input's own size it is the identity; leading axes are free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import sliding
from jnn.precision import wide


def adaptive_max_pool(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Adaptive max pooling: the maximum over windows laid out so that the output has the given size.

    See "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition", He et al., 2014.
    Window i of an axis reaches from floor(i * n / size) to ceil((i + 1) * n / size).

    Args:
      x: (..., *spatial, channels), floating point.
      size: of the output along each spatial axis, 1 to 3 of them, at most the input's.

    Returns:
      (..., *size, channels), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, or a size that is not in 1..spatial.

    >>> adaptive_max_pool(jnp.arange(5.0).reshape(5, 1), (2,)).squeeze()
    Array([2., 4.], dtype=float32)
    """
    return _adaptive("adaptive_max_pool", x, size, lambda windows, inside: jnp.max(windows, axis=-2))


def adaptive_avg_pool(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Adaptive average pooling: the mean over windows laid out so that the output has the given size.

    See "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition", He et al., 2014.

    Window i of an axis reaches from floor(i * n / size) to ceil((i + 1) * n / size).

    Args:
      x: (..., *spatial, channels), floating point.
      size: of the output along each spatial axis, 1 to 3 of them, at most the input's.

    Returns:
      (..., *size, channels), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, or a size that is not in 1..spatial.

    >>> adaptive_avg_pool(jnp.arange(5.0).reshape(5, 1), (2,)).squeeze()
    Array([1., 3.], dtype=float32)
    """

    def mean(windows: jax.Array, inside: np.ndarray) -> jax.Array:
        weight = (inside / inside.sum(-1, keepdims=True))[..., None]
        return jnp.sum(wide(windows) * weight.reshape((1,) * (windows.ndim - 3) + weight.shape), axis=-2)

    return _adaptive("adaptive_avg_pool", x, size, mean).astype(x.dtype)


def _adaptive(
    layer: str, x: jax.Array, size: Sequence[int], pool: Callable[[jax.Array, np.ndarray], jax.Array]
) -> jax.Array:
    """Pools one axis after another by `pool(windows (..., size, longest, c), which elements are inside)`."""
    sizes = sliding(layer, size).size
    y, leading = one_batch_axis(layer, x, len(sizes))
    if any(out > n for out, n in zip(sizes, y.shape[1:-1], strict=True)):
        raise ValueError(f"{layer}: the output size {sizes} is larger than the input's {y.shape[1:-1]}.")
    for axis, out in enumerate(sizes, start=1):
        n, i = y.shape[axis], np.arange(out)
        start, stop = i * n // out, -(-(i + 1) * n // out)
        reach = start[:, None] + np.arange((stop - start).max())
        inside = reach < stop[:, None]
        # a window shorter than the longest one repeats its last element, which changes no maximum
        windows = jnp.take(jnp.moveaxis(y, axis, -2), np.minimum(reach, stop[:, None] - 1), axis=-2)
        y = jnp.moveaxis(pool(windows, inside), -2, axis)
    return y.reshape(*leading, *y.shape[1:])
