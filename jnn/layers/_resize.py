"""Resizing of images by interpolation, as `torch.nn.functional.interpolate` does it; x is (..., *spatial, channels).

Laws: to its own size it is the identity; axes are resized one by one, in any order; a constant image stays constant.
Nothing is smoothed before an image shrinks: `blur_pool` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnn.layers._spatial import one_batch_axis, per_axis
from jnn.layers._window import sliding
from jnn.precision import wide

Method = Literal["nearest", "bilinear", "bicubic"]
SHARPNESS = -0.75  # the slope of the cubic kernel at 1 that torch and OpenCV take


def resize(x: jax.Array, size: Sequence[int], *, method: Method = "bilinear", align_corners: bool = False) -> jax.Array:
    """Resize: interpolates an image on a grid of another size.

    See "Cubic Convolution Interpolation for Digital Image Processing", Keys, 1981.

    Args:
      x: (..., *spatial, c), floating point.
      size: of the output along each spatial axis, 1 to 3 of them.
      method: "nearest" (the pixel at floor(i * n / size)), "bilinear" or "bicubic", along each axis.
      align_corners: whether the centres of the corner pixels stay where they are, or else the image's borders.

    Returns:
      (..., *size, c), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: too few axes, no elements, or an argument that is not one of the above.

    >>> resize(jnp.array([[0.0], [1.0]]), (3,), align_corners=True).squeeze(-1).tolist()
    [0.0, 0.5, 1.0]
    """
    return _resize("resize", x, sliding("resize", size).size, method, align_corners)


def upsample(
    x: jax.Array,
    scale: int | Sequence[int],
    *,
    method: Method = "nearest",
    align_corners: bool = False,
    spatial: int = 2,
) -> jax.Array:
    """Upsampling: `resize` to `scale` times the size.

    Args:
      x: (..., *spatial, c), floating point.
      scale: by how much it enlarges, one int or one per spatial axis.
      method, align_corners: as in `resize`.
      spatial: how many spatial axes there are.

    Returns:
      (..., *(spatial * scale), c), in x's dtype.

    Raises:
      As `resize`.

    >>> upsample(jnp.array([[0.0], [1.0]]), 2, spatial=1).squeeze(-1).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    by = per_axis("upsample", "scale", scale, spatial)
    one_batch_axis("upsample", x, spatial)
    size = tuple(n * s for n, s in zip(x.shape[-1 - spatial : -1], by, strict=True))
    return _resize("upsample", x, size, method, align_corners)


def _resize(layer: str, x: jax.Array, size: tuple[int, ...], method: str, align_corners: bool) -> jax.Array:
    if method not in get_args(Method):
        raise ValueError(f"{layer}: method is one of {', '.join(get_args(Method))}; found {method!r}.")
    if align_corners and method == "nearest":
        raise ValueError(f"{layer}: align_corners says nothing of nearest pixels; leave it out.")
    y, leading = one_batch_axis(layer, x, len(size))
    for axis, out in enumerate(size, start=1):
        y = _nearest(y, axis, out) if method == "nearest" else _weighted(y, axis, out, method, align_corners)
    return y.reshape(*leading, *y.shape[1:]).astype(x.dtype)


def _nearest(y: jax.Array, axis: int, out: int) -> jax.Array:
    n = y.shape[axis]
    return jnp.repeat(y, out // n, axis) if out % n == 0 else jnp.take(y, np.arange(out) * n // out, axis)


def _weighted(y: jax.Array, axis: int, out: int, method: str, align_corners: bool) -> jax.Array:
    """Each place of an axis as a weighted sum of its old ones: a product with a matrix, which suits every device."""
    if y.shape[axis] == out:
        return y
    weights = _weights(y.shape[axis], out, method, align_corners)
    y = wide(y)
    y = jnp.tensordot(y, jnp.asarray(weights, y.dtype), axes=(axis, 1), precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(y, -1, axis)


def _weights(n: int, out: int, method: str, align_corners: bool) -> np.ndarray:
    """(out, n): what each old place adds to each new one."""
    i = np.arange(out)
    at = i * (n - 1) / max(out - 1, 1) if align_corners else (i + 0.5) * n / out - 0.5
    if method == "bilinear":
        at = np.clip(at, 0, n - 1)
    first = np.floor(at).astype(int)
    weights = np.zeros((out, n))
    for tap in range(-1, 3):
        distance = np.abs(at - (first + tap))
        share = np.maximum(1 - distance, 0) if method == "bilinear" else _cubic(distance)
        np.add.at(weights, (i, np.clip(first + tap, 0, n - 1)), share)
    return weights


def _cubic(d: np.ndarray) -> np.ndarray:
    """Keys' kernel at these distances."""
    a = SHARPNESS
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
