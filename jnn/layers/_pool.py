"""Pooling over one, two or three spatial axes, channels last: x is (..., *spatial, channels).

Laws: padding never wins a maximum, and never enters an average (unless `count_padding`); a window as large as the
input is global pooling; leading axes are free.
Where elements tie for a maximum, they share its gradient; in which proportions may differ by backend.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn import backend, checks
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding, Window, sliding
from jnn.precision import wide


def max_pool(
    x: jax.Array,
    window: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> jax.Array:
    """Max pooling: the maximum under a window that slides over the spatial axes.

    See "Hierarchical Models of Object Recognition in Cortex", Riesenhuber and Poggio, 1999.

    Args:
      x: (..., *spatial, channels), floating point.
      window: its size along each spatial axis, 1 to 3 of them, such as (2, 2).
      stride: from one window to the next, one int or one per axis; None means the window's size.
      padding: "VALID" (none), "SAME" (the output has size ceil(spatial / stride)), in any case; or less than the
        window: one int for all sides, one per axis, or (before, after) per axis.

    Returns:
      (..., *out, channels), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, less room than the window; or an argument is not one of the above.

    >>> max_pool(jnp.arange(6.0).reshape(6, 1), (2,)).squeeze()
    Array([1., 3., 5.], dtype=float32)
    """
    slide = pooling_window("max_pool", window, stride, padding)
    x, leading = one_batch_axis("max_pool", x, len(slide.size))
    if backend.choose("max_pool") == "slices":
        y = _maximum_of_slices(x, slide)
    else:
        y = _reduce_window(x, slide, jax.lax.max, -math.inf)
    return y.reshape(*leading, *y.shape[1:])


def avg_pool(
    x: jax.Array,
    window: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    count_padding: bool = False,
) -> jax.Array:
    """Average pooling: the mean under a window that slides over the spatial axes; sums are in float32.

    See "Gradient-Based Learning Applied to Document Recognition", LeCun et al., 1998 (subsampling).

    Args:
      x: (..., *spatial, channels), floating point.
      window: its size along each spatial axis, 1 to 3 of them, such as (2, 2).
      stride: from one window to the next, one int or one per axis; None means the window's size.
      padding: "VALID" (none), "SAME" (the output has size ceil(spatial / stride)), in any case; or less than the
        window: one int for all sides, one per axis, or (before, after) per axis.
      count_padding: divide by the window's size everywhere, as if the padding were data of value zero.

    Returns:
      (..., *out, channels), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, less room than the window; or an argument is not one of the above.

    >>> avg_pool(jnp.arange(6.0).reshape(6, 1), (2,)).squeeze()
    Array([0.5, 2.5, 4.5], dtype=float32)
    """
    slide = pooling_window("avg_pool", window, stride, padding)
    x, leading = one_batch_axis("avg_pool", x, len(slide.size))
    counts = np.asarray(math.prod(slide.size)) if count_padding else _counts(slide, x.shape[1:-1])
    y = _reduce_window(wide(x), slide, jax.lax.add, 0.0)
    y = (y / counts.reshape((1, *counts.shape, 1) if counts.ndim else ())).astype(x.dtype)
    return y.reshape(*leading, *y.shape[1:])


def global_max_pool(x: jax.Array, *, spatial: int = 2) -> jax.Array:
    """Global max pooling: the maximum over the whole of the last `spatial` axes before the channels.

    See "Is Object Localization for Free? Weakly-Supervised Learning with Convolutional Neural Networks", Oquab et al.,
    2015.

    Args:
      x: (..., *spatial, channels), floating point.
      spatial: how many spatial axes there are.

    Returns:
      (..., channels), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, or no elements.

    >>> global_max_pool(jnp.arange(4.0).reshape(2, 2, 1))
    Array([3.], dtype=float32)
    """
    return jnp.max(x, axis=_spatial_axes("global_max_pool", x, spatial))


def global_avg_pool(x: jax.Array, *, spatial: int = 2) -> jax.Array:
    """Global average pooling: the mean over the whole of the last `spatial` axes before the channels.

    See "Network in Network", Lin, Chen and Yan, 2014.

    Args:
      x: (..., *spatial, channels), floating point.
      spatial: how many spatial axes there are.

    Returns:
      (..., channels), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, or no elements.

    >>> global_avg_pool(jnp.arange(4.0).reshape(2, 2, 1))
    Array([1.5], dtype=float32)
    """
    axes = _spatial_axes("global_avg_pool", x, spatial)
    return jnp.mean(wide(x), axis=axes).astype(x.dtype)


def pooling_window(layer: str, size: Sequence[int], stride: int | Sequence[int] | None, padding: Padding) -> Window:
    """The window of a pooling; raises where its padding would make one that sees nothing of the input."""
    window = sliding(layer, size, stride=stride, padding=padding)
    pads = window.padding
    if not isinstance(pads, str) and any(max(pad) >= k for pad, k in zip(pads, window.size, strict=True)):
        raise ValueError(
            f"{layer}: padding {padding} must be less than the window {window.size}: it would see nothing."
        )
    return window


def _reduce_window(x: jax.Array, window: Window, combine: Callable[..., jax.Array], fill: float) -> jax.Array:
    """`combine` over each window of x (b, *spatial, c), with `fill` around it."""
    pads = ((0, 0), *window.pads(x.shape[1:-1]), (0, 0))
    start = np.asarray(fill, x.dtype)
    return jax.lax.reduce_window(x, start, combine, (1, *window.size, 1), (1, *window.stride, 1), pads)


def _maximum_of_slices(x: jax.Array, window: Window) -> jax.Array:
    """The same as `_reduce_window` by `max`, one axis after another."""
    window.pads(x.shape[1:-1])  # whether it fits is said of the whole window, not of one axis
    for axis in range(len(window.size)):
        line = window.along(axis)
        x = functools.reduce(jnp.maximum, line.taps(line.pad(x, -math.inf), x.shape[1:-1]))
    return x


def _counts(window: Window, spatial: Sequence[int]) -> np.ndarray:
    """How many elements of the input each window covers, over the output's spatial axes."""
    counts = np.ones(())
    axes = zip(spatial, window.pads(spatial), window.size, window.stride, window.out(spatial), strict=True)
    for n, (before, _), size, stride, out in axes:
        start = np.arange(out) * stride - before
        counts = np.multiply.outer(counts, np.minimum(start + size, n) - np.maximum(start, 0))
    return counts.astype(np.float32)


def _spatial_axes(layer: str, x: jax.Array, spatial: int) -> tuple[int, ...]:
    checks.floats(layer, x, ndim=spatial + 1)
    return tuple(range(-1 - spatial, -1))
