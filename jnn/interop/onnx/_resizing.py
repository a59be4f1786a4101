"""Interpolation along axes, as ONNX's Resize has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, integers, known


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
    dtype, exact = x.dtype, jnp.promote_types(x.dtype, np.float32)
    for axis, wanted in zip(along, given, strict=True):
        n = x.shape[axis]
        out = int(wanted) if by_size else math.floor(np.float32(n) * np.float32(wanted))  # 7 of 5 by 1.4
        if out == n and (by_size or wanted == 1):
            continue
        # by a scale, which is in float32, in its arithmetic: else the third of 0.6 is before the fifth
        places = np.arange(out, dtype=np.float64 if by_size or mode != "nearest" else np.float32)
        at = COORDINATES[coordinate_transformation_mode](places, n, out, out / n if by_size else wanted)
        if mode == "nearest":
            x = jnp.take(x, np.clip(NEAREST[nearest_mode](at), 0, n - 1).astype(int), axis)
        else:
            weights = _weights(at, n, mode, cubic_coeff_a, bool(exclude_outside))
            x = jnp.moveaxis(jnp.tensordot(x.astype(exact), weights.astype(exact), ((axis,), (1,))), -1, axis)
    return _within(x, dtype)


def _within(x: Array, dtype: Any) -> Array:
    """In a dtype; integers towards zero, and within their range."""
    if jnp.issubdtype(dtype, jnp.integer) and not jnp.issubdtype(x.dtype, jnp.integer):
        x = x.clip(jnp.iinfo(dtype).min, jnp.iinfo(dtype).max)
    return x.astype(dtype)


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


OPERATORS: dict[str, Callable[..., Any]] = {"Resize": resize}
