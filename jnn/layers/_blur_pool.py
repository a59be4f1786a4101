"""Blur pooling: a stride that smooths before it leaves pixels out. Laws: a constant image stays constant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jnn.layers._depthwise import depthwise_conv
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding, sliding


def blur_pool(
    x: jax.Array,
    window: Sequence[int],
    *,
    stride: int | Sequence[int] = 2,
    padding: Padding = "REFLECT",
) -> jax.Array:
    """Blur pooling, or anti-aliased subsampling: a binomial filter, then a stride.

    See "Making Convolutional Networks Shift-Invariant Again", Zhang, 2019. Max pooling becomes `max_pool` with stride
    1 and this behind it, a strided convolution one with stride 1 and this behind it.

    Args:
      x: (..., *spatial, c), floating point.
      window: the filter's size along each spatial axis, such as (3, 3): 1 2 1 along each.
      stride: from one window to the next, one int or one per axis.
      padding: as in `conv`.

    Returns:
      (..., *out, c), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, less room than the window; or an argument is not one of the above.

    >>> blur_pool(jnp.array([[0.0], [4.0], [0.0], [4.0]]), (3,)).squeeze(-1).tolist()
    [2.0, 2.0]
    """
    size = sliding("blur_pool", window).size
    one_batch_axis("blur_pool", x, len(size))
    lines = [np.asarray(reduce(np.convolve, [[1.0, 1.0]] * (k - 1), np.ones(1))) / 2 ** (k - 1) for k in size]
    kernel = reduce(np.multiply.outer, lines)[..., None, None]
    w = jnp.broadcast_to(jnp.asarray(kernel, x.dtype), (*size, 1, x.shape[-1]))
    return depthwise_conv({"w": w}, x, stride=stride, padding=padding)
