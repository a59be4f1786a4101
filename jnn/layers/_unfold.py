"""Unfolding images into windows (im2col), and folding windows back (col2im).

Laws: `linear({"w": w}, unfold(x, ...), in_axes=...)` is `conv({"w": w}, x, ...)`; `fold` is the transpose of `unfold`,
so that windows that tile an image give it back, and elsewhere each element comes back as often as windows hold it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding, Window, sliding
from jnn.precision import wide


def unfold(
    x: jax.Array,
    window: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Unfold, or im2col: all windows of an image, with what each holds; also patches, if stride = window.

    See "High Performance Convolutional Neural Networks for Document Processing", Chellapilla, Puri and Simard, 2006.

    Args:
      x: (..., *spatial, c), floating point.
      window: its size along each spatial axis, 1 to 3 of them.
      stride, dilation: as in `conv`.
      padding: "VALID", "SAME", or that many zeros, as in `conv`.

    Returns:
      (..., *out, *window, c), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, less room than the window; or an argument is not one of the above.

    >>> unfold(jnp.arange(4.0).reshape(4, 1), (2,)).squeeze(-1).tolist()
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """
    slide = sliding("unfold", window, stride=stride, padding=padding, dilation=dilation)
    flat, leading = one_batch_axis("unfold", x, len(slide.size))
    y = _windows(slide, flat)
    return y.reshape(*leading, *y.shape[1:])


def fold(
    y: jax.Array,
    spatial: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Fold, or col2im: puts all windows of an image where they came from, and adds up where they overlap.

    Args:
      y: (..., *out, *window, c), floating point, as `unfold` returns.
      spatial: the shape of the image, 1 to 3 axes.
      stride, padding, dilation: as given to `unfold`.

    Returns:
      (..., *spatial, c), in y's dtype; sums are in float32.

    Raises:
      TypeError: y is not floating point.
      ValueError: y is not what `unfold` makes of an image of this shape, or is empty.

    >>> fold(jnp.ones((3, 2, 1)), (4,)).squeeze(-1).tolist()
    [1.0, 2.0, 2.0, 1.0]
    """
    n = len(spatial)
    checks.floats("fold", y, ndim=2 * n + 1)
    *leading_out, channels = y.shape
    slide = sliding("fold", leading_out[len(leading_out) - n :], stride=stride, padding=padding, dilation=dilation)
    leading, out = leading_out[: -2 * n], tuple(leading_out[-2 * n : -n])
    if out != slide.out(spatial):
        raise ValueError(
            f"fold: an image {tuple(spatial)} has {slide.out(spatial)} windows {slide.size}, found {out} in "
            f"{checks.describe(y)}. Give stride, padding and dilation as to unfold."
        )
    flat = wide(y).reshape(math.prod(leading), *y.shape[len(leading) :])
    image = jax.ShapeDtypeStruct((flat.shape[0], *spatial, channels), flat.dtype)
    (x,) = jax.linear_transpose(partial(_windows, slide), image)(flat)
    return x.reshape(*leading, *spatial, channels).astype(y.dtype)


def _windows(slide: Window, x: jax.Array) -> jax.Array:
    """(b, *spatial, c) -> (b, *out, *window, c)."""
    y = jnp.stack(list(slide.taps(slide.pad(x), x.shape[1:-1])), axis=-2)
    return y.reshape(*y.shape[:-2], *slide.size, y.shape[-1])
