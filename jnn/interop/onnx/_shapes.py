"""Operators that move elements, and compute no new ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jnn.interop.onnx._arrays import (
    Array,
    as_list,
    axis_of,
    dtype_of,
    integers,
    is_known,
    known,
    library,
    like,
    of_rank,
)


def shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    return np.array(x.shape[start:end], np.int64)


def size(x: Array) -> Array:
    return np.array(x.size, np.int64)


def reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    sizes = integers("Reshape", "the shape", shape)
    return x.reshape([x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(sizes)])


def flatten(x: Array, *, axis: int = 1) -> Array:
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def squeeze(x: Array, axes: Any = None) -> Array:
    return library(x).squeeze(x, None if axes is None else tuple(as_list("Squeeze", axes)))


def unsqueeze(x: Array, axes: Any) -> Array:
    return library(x).expand_dims(x, tuple(as_list("Unsqueeze", axes)))


def concat(*xs: Array, axis: int) -> Array:
    computed = [x for x in xs if not is_known(x)]
    return library(*xs).concatenate([like(x, computed[0]) if computed else x for x in xs], axis)


def split(x: Array, split: Any = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int = 1) -> Any:
    parts = num_outputs or outputs
    length = x.shape[axis]
    each = -(-length // parts)
    sizes = [min(each, length - i * each) for i in range(parts)] if split is None else as_list("Split", split)
    return tuple(library(x).split(x, np.cumsum(sizes)[:-1], axis))


def slice_(x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    begin, end = (integers("Slice", what, at) for what, at in (("starts", starts), ("ends", ends)))
    along = range(len(begin)) if axes is None else integers("Slice", "axes", axes)
    by = [1] * len(begin) if steps is None else integers("Slice", "steps", steps)
    where: list[Any] = [slice(None)] * x.ndim
    for axis, low, high, step in zip(along, begin, end, by, strict=True):
        n = x.shape[axis]
        if step < 0:  # in Python -1 would be the last element, where the graph means that which is before the first
            first, stop = (end + n if end < 0 else end for end in (low, high))
            where[axis] = slice(max(first, 0), None if stop < 0 else stop, step)
        else:
            where[axis] = slice(low, high, step)
    return x[tuple(where)]


def transpose(x: Array, *, perm: list[int] | None = None) -> Array:
    return library(x).transpose(x, perm)


def expand(x: Array, shape: Array) -> Array:
    """Broadcast in both directions."""
    sizes = np.broadcast_shapes(x.shape, tuple(integers("Expand", "the shape", shape)))
    return library(x).broadcast_to(*of_rank(len(sizes), x), sizes)


def tile(x: Array, repeats: Array) -> Array:
    return library(x).tile(x, integers("Tile", "the repeats", repeats))


def pad(
    x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, *, mode: str = "constant"
) -> Array:
    along = range(x.ndim) if axes is None else [axis_of(i, x) for i in integers("Pad", "axes", axes)]
    sizes = integers("Pad", "the sizes", pads)
    widths = [(0, 0)] * x.ndim
    for axis, low, high in zip(along, sizes[: len(sizes) // 2], sizes[len(sizes) // 2 :], strict=True):
        widths[axis] = (low, high)
    cut = tuple(slice(max(-low, 0), x.shape[i] - max(-high, 0)) for i, (low, high) in enumerate(widths))
    grown = [(max(low, 0), max(high, 0)) for low, high in widths]
    fill = {"constant_values": 0 if value is None else value.reshape(())} if mode == "constant" else {}
    return library(x, value).pad(x[cut], grown, mode=mode, **fill)


def constant_of_shape(shape: Array, *, value: np.ndarray | None = None) -> Array:
    fill = np.zeros(1, np.float32) if value is None else value
    return np.full(integers("ConstantOfShape", "the shape", shape), fill.reshape(()))


def range_(start: Array, limit: Array, delta: Array) -> Array:
    first, last, step = (known("Range", "its bounds", x).reshape(()) for x in (start, limit, delta))
    steps = max(int(np.ceil((last - first) / step)), 0)
    return (first + step * np.arange(steps)).astype(first.dtype)


def eye_like(x: Array, *, dtype: int | None = None, k: int = 0) -> Array:
    rows, columns = x.shape
    return np.eye(rows, columns, k).astype(x.dtype if dtype is None else dtype_of(dtype))


def trilu(x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    (offset,) = [0] if k is None else integers("Trilu", "k", k)
    return (library(x).triu if upper else library(x).tril)(x, offset)


def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    b, c, h, w = x.shape
    n, out = blocksize, c // blocksize**2
    if mode == "DCR":
        y = x.reshape(b, n, n, out, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(b, out, n, n, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(b, out, h * n, w * n)


def space_to_depth(x: Array, *, blocksize: int) -> Array:
    b, c, h, w = x.shape
    n = blocksize
    y = x.reshape(b, c, h // n, n, w // n, n).transpose(0, 3, 5, 1, 2, 4)
    return y.reshape(b, c * n * n, h // n, w // n)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Concat": concat,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Pad": pad,
    "Range": range_,
    "Reshape": reshape,
    "Shape": shape,
    "Size": size,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
