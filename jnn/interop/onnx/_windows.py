"""Operators of windows in space: convolutions, pooling, resizing. Batch and channels come first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, integers, known, like

Pads = list[tuple[int, int]]


def _pads(
    auto_pad: str, pads: Sequence[int] | None, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> Pads:
    """What is added on both sides of each axis in space; kernels are as wide as they reach."""
    if auto_pad in ("NOTSET", "VALID"):
        flat = list(pads or [0] * (2 * len(sizes))) if auto_pad == "NOTSET" else [0] * (2 * len(sizes))
        return list(zip(flat[: len(sizes)], flat[len(sizes) :], strict=True))
    total = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, kernel, strides, strict=True)]
    lower = [(n + 1) // 2 if auto_pad == "SAME_LOWER" else n // 2 for n in total]
    return [(low, n - low) for low, n in zip(lower, total, strict=True)]


def _reach(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]


def _names(rank: int) -> tuple[str, str, str]:
    space = "DHW"[3 - rank :]
    return f"NC{space}", f"OI{space}", f"NC{space}"


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:
    rank = x.ndim - 2
    ones = [1] * rank
    strides, dilations = strides or ones, dilations or ones
    padding = _pads(auto_pad, pads, x.shape[2:], _reach(w.shape[2:], dilations), strides)
    y = jax.lax.conv_general_dilated(
        jnp.asarray(x),
        jnp.asarray(like(w, x)),
        strides,
        padding,
        rhs_dilation=dilations,
        dimension_numbers=_names(rank),
        feature_group_count=group,
    )
    return y if b is None else y + like(b, y).reshape((1, -1) + (1,) * rank)


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:
    """A convolution of x with zeros between its elements, by the kernel turned around."""
    rank = x.ndim - 2
    ones = [1] * rank
    strides, dilations, extra = strides or ones, dilations or ones, output_padding or [0] * rank
    reach = _reach(w.shape[2:], dilations)
    full = [(n - 1) * s + k + e for n, s, k, e in zip(x.shape[2:], strides, reach, extra, strict=True)]
    if output_shape is not None or auto_pad.startswith("SAME"):
        wanted = output_shape[-rank:] if output_shape else [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        total = [max(n - out, 0) for n, out in zip(full, wanted, strict=True)]
        first = [n // 2 if auto_pad == "SAME_UPPER" else n - n // 2 for n in total]
        cut = [(low, n - low) for low, n in zip(first, total, strict=True)]
    else:
        cut = _pads(auto_pad, pads, x.shape[2:], reach, strides)
    padding = [(k - 1 - low, k - 1 - high + e) for k, (low, high), e in zip(reach, cut, extra, strict=True)]
    w = jnp.asarray(like(w, x))
    w = w.reshape(group, -1, *w.shape[1:]).swapaxes(1, 2)  # (group, out, in, ...)
    w = jnp.flip(w.reshape(-1, *w.shape[2:]), range(2, rank + 2))
    y = jax.lax.conv_general_dilated(
        jnp.asarray(x),
        w,
        ones,
        padding,
        lhs_dilation=strides,
        rhs_dilation=dilations,
        dimension_numbers=_names(rank),
        feature_group_count=group,
    )
    return y if b is None else y + like(b, y).reshape((1, -1) + (1,) * rank)


def max_pool(
    x: Array,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Array:
    lowest = -np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    window = _Windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    return window.reduced(jnp.asarray(x), lowest, jax.lax.max, window.padding)


def average_pool(
    x: Array,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:
    """Of what is in the window, and of the padding if that counts; never of what `ceil_mode` adds."""
    window = _Windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    total = window.reduced(jnp.asarray(x), 0.0, jax.lax.add, window.padding)
    there = jnp.ones((1, 1, *x.shape[2:]), x.dtype)
    if count_include_pad:
        there = jnp.pad(there, [(0, 0), (0, 0), *window.padded], constant_values=1)
        more = [(0, high - own) for (_, high), (_, own) in zip(window.padding, window.padded, strict=True)]
        return total / window.reduced(there, 0.0, jax.lax.add, more)
    return total / window.reduced(there, 0.0, jax.lax.add, window.padding)


class _Windows:
    """Where the windows of a pooling lie."""

    def __init__(
        self,
        x: Array,
        kernel: list[int],
        strides: list[int] | None,
        dilations: list[int] | None,
        auto_pad: str,
        pads: list[int] | None,
        ceil_mode: int,
    ) -> None:
        ones = [1] * len(kernel)
        self.kernel, self.strides, self.dilations = kernel, strides or ones, dilations or ones
        reach = _reach(kernel, self.dilations)
        self.padded = _pads(auto_pad, pads, x.shape[2:], reach, self.strides)
        sides = zip(self.padded, x.shape[2:], reach, self.strides, strict=True)
        self.padding = [
            (low, high + (_missing(n, low, high, k, s) if ceil_mode else 0)) for (low, high), n, k, s in sides
        ]

    def reduced(self, x: Array, initial: float, by: Any, padding: Pads) -> Array:
        window, strides, dilations = ((1, 1, *each) for each in (self.kernel, self.strides, self.dilations))
        start = np.asarray(initial, x.dtype)
        return jax.lax.reduce_window(x, start, by, window, strides, [(0, 0), (0, 0), *padding], None, dilations)


def _missing(n: int, low: int, high: int, kernel: int, stride: int) -> int:
    """How much a last window, which begins before the end of what is padded in front, lacks behind."""
    rest = (n + low + high - kernel) % stride
    begins = n + low + high - kernel - rest + stride
    return stride - rest if rest and begins < n + low else 0


def _globally(of: Callable[..., Array]) -> Callable[[Array], Array]:
    return lambda x: of(x, tuple(range(2, x.ndim)), keepdims=True)


def resize(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    antialias: int = 0,
    axes: list[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Array:
    """Interpolation along one axis after another.

    Raises:
      ValueError: an option is not known: antialias, a region of interest, other policies than "stretch".
    """
    if antialias or keep_aspect_ratio_policy != "stretch" or coordinate_transformation_mode not in COORDINATES:
        raise ValueError(
            f"Resize: antialias={antialias}, keep_aspect_ratio_policy={keep_aspect_ratio_policy!r} or "
            f"coordinate_transformation_mode={coordinate_transformation_mode!r} is not known; of the last there are "
            f"{', '.join(COORDINATES)}."
        )
    along = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in axes]
    by_size = sizes is not None and sizes.size
    given = integers("Resize", "sizes", sizes) if by_size else known("Resize", "scales", scales).reshape(-1).tolist()
    for axis, wanted in zip(along, given, strict=True):
        n = x.shape[axis]
        out = int(wanted) if by_size else math.floor(n * wanted)
        if out == n and (by_size or wanted == 1):
            continue
        at = COORDINATES[coordinate_transformation_mode](np.arange(out), n, out, out / n if by_size else wanted)
        if mode == "nearest":
            x = jnp.take(x, np.clip(NEAREST[nearest_mode](at), 0, n - 1).astype(int), axis)
        else:
            weights = _weights(at, n, mode, cubic_coeff_a, bool(exclude_outside)).astype(x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, weights, ((axis,), (1,))), -1, axis)
    return x


COORDINATES: dict[str, Callable[..., np.ndarray]] = {
    "half_pixel": lambda i, n, out, scale: (i + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda i, n, out, scale: (i + 0.5) / scale - 0.5 if out > 1 else 0.0 * i,
    "half_pixel_symmetric": lambda i, n, out, scale: n / 2 * (1 - out / (n * scale)) + (i + 0.5) / scale - 0.5,
    "asymmetric": lambda i, n, out, scale: i / scale,
    "align_corners": lambda i, n, out, scale: i * (n - 1) / (out - 1) if out > 1 else 0.0 * i,
}
NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _weights(at: np.ndarray, n: int, mode: str, a: float, exclude: bool) -> np.ndarray:
    """(out, n): how much of each element is in each new one; outside, the first and last are repeated or left out."""
    reach = 1 if mode == "linear" else 2
    weights = np.zeros((len(at), n))
    for offset in range(1 - reach, reach + 1):
        position = np.floor(at) + offset
        share = _linear(at - position) if mode == "linear" else _cubic(at - position, a)
        if exclude:
            share = np.where((position < 0) | (position >= n), 0, share)
        np.add.at(weights, (np.arange(len(at)), np.clip(position, 0, n - 1).astype(int)), share)
    return weights / weights.sum(1, keepdims=True)


def _linear(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


OPERATORS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": _globally(jnp.mean),
    "GlobalMaxPool": _globally(jnp.max),
    "MaxPool": max_pool,
    "Resize": resize,
}
