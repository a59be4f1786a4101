"""Rules of primitives that read or write elements by their indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnn.export._literals import number, size, sizes
from jnn.export._writer import Call, Rule


def gather(c: Call) -> str:
    """Rows along one axis by torch's own indexing, where no index is out of bounds or all are brought in."""
    mode, dims = c.params["mode"].name, c.params["dimension_numbers"]
    window, shape = c.params["slice_sizes"], c.inputs[0].shape
    rows = _row_axis(dims, window, shape, len(c.out.shape))
    at, column = c.writer.filled.get(c.inputs[1]), c.writer.columns.get(c.inputs[1], f"{c.tensor(1)}[..., 0]")
    if rows is not None and c.inputs[1].shape == (1,) and at is not None and 0 <= at < shape[rows]:
        return f"{c.x}[{':, ' * rows}{at}]"
    if rows is not None and mode != "FILL_OR_DROP":
        index = column + (f".clamp(0, {size(shape[rows] - 1)})" if mode == "CLIP" else "")
        return f"{c.x}[{':, ' * rows}{index}]"
    if rows is not None:
        return f"taken({c.x}, {column}, {rows}, {_fill(c)})"
    fill = f", fill={_fill(c)}" if mode == "FILL_OR_DROP" else ""
    plan = (
        f"axes={_ints(dims.start_index_map)}, sizes={sizes(window)}, offsets={_ints(dims.offset_dims)}, "
        f"dropped={_ints(sorted((*dims.collapsed_slice_dims, *dims.operand_batching_dims)))}"
    )
    return f"gathered({c.x}, {c.tensor(1)}, {plan}{_batched(dims, dims.start_indices_batching_dims)}{fill})"


def _row_axis(dims: Any, window: Sequence[Any], shape: Sequence[Any], rank: int) -> int | None:
    """The axis along which whole rows are taken, in their place."""
    if len(dims.start_index_map) != 1 or dims.operand_batching_dims:
        return None
    (axis,) = dims.start_index_map
    others = [i for i in range(len(shape)) if i != axis]
    batch = rank - len(others)
    places = (*range(axis), *range(axis + batch, rank))
    whole = tuple(dims.collapsed_slice_dims) == (axis,) and all(size(window[i]) == size(shape[i]) for i in others)
    return axis if whole and tuple(dims.offset_dims) == places else None


def _ints(axes: Sequence[Any]) -> tuple[int, ...]:
    """Axes as Python has them, which JAX may have of NumPy."""
    return tuple(map(int, axes))


def _batched(dims: Any, indices: Sequence[int]) -> str:
    return f", batched={tuple(zip(_ints(dims.operand_batching_dims), _ints(indices), strict=True))}" if indices else ""


def _fill(c: Call) -> str:
    """What stands for what is out of bounds: a NaN, of integers the one that is furthest from all."""
    if (given := c.params["fill_value"]) is not None:
        return number(np.asarray(given).item(), c.out.dtype)
    kind = c.out.dtype.kind
    if kind in "iu":
        info = np.iinfo(c.out.dtype)
        return str(info.min if kind == "i" else info.max)
    return "True" if kind == "b" else "torch.nan"


def scatter(c: Call) -> str:
    reduce = {"scatter": "set", "scatter-add": "sum", "scatter-mul": "prod", "scatter-min": "amin"}
    how, dims = reduce.get(c.equation.name, "amax"), c.params["dimension_numbers"]
    mode = c.params["mode"]
    inside = ", clip=True" if mode is not None and mode.name == "CLIP" else ""
    dropped = _ints(sorted((*dims.inserted_window_dims, *dims.operand_batching_dims)))
    plan = (
        f"axes={_ints(dims.scatter_dims_to_operand_dims)}, windows={_ints(dims.update_window_dims)}, dropped={dropped}"
    )
    batched = _batched(dims, dims.scatter_indices_batching_dims)
    return f"scattered({c.x}, {c.tensor(1)}, {c.tensor(2)}, '{how}', {plan}{batched}{inside})"


def dynamic_slice(c: Call) -> str:
    starts = [c.tensor(i) for i in range(1, len(c.inputs))]
    moved = [i for i, n in enumerate(c.inputs[0].shape) if size(n) != size(c.out.shape[i])]
    text = c.x
    for i in moved:
        text = f"window({text}, {i}, {starts[i]}, {size(c.out.shape[i])})"
    return text


def dynamic_update_slice(c: Call) -> str:
    starts = ", ".join(f"{c.tensor(i)}.long()" for i in range(2, len(c.inputs)))
    axes = tuple(range(len(c.inputs[0].shape)))
    index = f"torch.stack([{starts}])" if starts else "torch.zeros(0, dtype=torch.int64)"
    return f"scattered({c.x}, {index}, {c.tensor(1)}, 'set', axes={axes}, windows={axes}, dropped=(), clip=True)"


RULES: dict[str, Rule] = {
    "gather": gather,
    **dict.fromkeys(("scatter", "scatter-add", "scatter-mul", "scatter-min", "scatter-max"), scatter),
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
}
