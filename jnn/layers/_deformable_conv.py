"""Deformable convolution: each element of the kernel reads at a place of its own. Images are (..., y, x, c).

Laws: with offsets of zero it is `conv`; a place outside of the image holds zeros, one between pixels is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from jnn import checks
from jnn.layers._conv import add_channels, check_channels, conv_spec
from jnn.layers._grid_sample import sample
from jnn.layers._linear import linear
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding, Window, sliding
from jnn.precision import narrow, wide

deformable_conv_spec = conv_spec
"""Declares the kernel and bias of a deformable convolution of two spatial axes: as `conv_spec`, in one group."""


def deformable_conv(
    p: dict[str, jax.Array],
    x: jax.Array,
    offsets: jax.Array,
    mask: jax.Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Deformable convolution: adds an offset to each place that the kernel reads, and with a mask scales what it reads.

    See "Deformable Convolutional Networks", Dai et al., 2017; the mask: "Deformable ConvNets v2: More Deformable,
    Better Results", Zhu et al., 2019. Offsets and mask come of convolutions of x that start at zero.

    Args:
      p: {"w": (ky, kx, c_in, c_out), "b": (c_out,)}, the bias optional.
      x: (..., y, x, c_in), floating point.
      offsets: (..., *out, ky, kx, 2), in pixels along y and x.
      mask: (..., *out, ky, kx), or None for 1.
      stride, padding, dilation: as in `conv`; padding of zeros only.

    Returns:
      (..., *out, c_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit each other, or as `conv`.

    >>> p = {"w": np.ones((3, 3, 2, 5), np.float32)}
    >>> deformable_conv(p, jax.numpy.ones((4, 4, 2)), jax.numpy.zeros((4, 4, 3, 3, 2))).shape
    (4, 4, 5)
    """
    checks.params("deformable_conv", p, "w", may=("b",))
    checks.array("deformable_conv", x)
    window = sliding("deformable_conv", p["w"].shape[:2], stride=stride, padding=padding, dilation=dilation)
    flat, leading = one_batch_axis("deformable_conv", x, 2)
    check_channels("deformable_conv", p["w"], x, 1)
    shape = (*leading, *window.out(flat.shape[1:3]), *window.size)
    for name, array, want in (("offsets", offsets, (*shape, 2)), ("mask", mask, shape)):
        if array is not None and array.shape != want:
            raise ValueError(f"deformable_conv: expected {name} {want}, found {checks.describe(array)}.")
    at = wide(offsets).reshape(flat.shape[0], -1, 2)
    at = at + _places(window, flat.shape[1:3]).astype(at.dtype)
    read = sample(flat, at).reshape(*shape, -1)
    if mask is not None:
        read = read * wide(mask)[..., None]
    return add_channels(p, linear({"w": p["w"]}, narrow(read.astype(x.dtype)), in_axes=3))


def _places(window: Window, spatial: Sequence[int]) -> np.ndarray:
    """Where an undeformed kernel reads: (1, out * kernel, 2)."""
    lines = [
        np.arange(out)[:, None] * stride - before + np.arange(size) * dilation
        for out, stride, (before, _), size, dilation in zip(
            window.out(spatial), window.stride, window.pads(spatial), window.size, window.dilation, strict=True
        )
    ]
    grid = np.meshgrid(*(line.ravel() for line in lines), indexing="ij")
    (rows, ky), (columns, kx) = (line.shape for line in lines)
    places = np.stack(grid, -1).reshape(rows, ky, columns, kx, 2).swapaxes(1, 2)
    return places.reshape(1, -1, 2)
