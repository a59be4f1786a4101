"""Rules of primitives that move elements: shapes, slices, joins, sorting, and indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jnn.export._writer import Call, Rule, dtype, each, number, size, sizes


def reshape(c: Call) -> str:
    return c.x if c.out in c.writer.thin else f"{c.x}.reshape({each(c.out.shape)})"


def transpose(c: Call) -> str:
    order = tuple(c.params["permutation"])
    last_two = (*range(len(order) - 2), len(order) - 1, len(order) - 2)
    return f"{c.x}.mT" if len(order) > 1 and order == last_two else f"{c.x}.permute({each(order)})"


def broadcast(c: Call) -> str | None:
    """New axes by None; those that only grow are left to torch where what reads them is of the whole shape."""
    shape, axes, value = c.out.shape, tuple(c.params["broadcast_dimensions"]), c.inputs[0]
    thin = c.out in c.writer.thin
    if value.is_number and thin:
        c.out.number = value.number
        return None
    if value.is_number:
        c.writer.filled[c.out] = value.number
        return f"torch.full({sizes(shape)}, {c[0]}, dtype={dtype(c.out.dtype)})"
    if value.shape == ():
        return c.x if thin else f"{c.x}.expand({each(shape)})"
    if shape == (*value.shape, 1) and axes == tuple(range(len(value.shape))):
        c.writer.columns[c.out] = c.x
    first = axes[0] if thin else 0  # axes in front need not be there
    index = [":" if axis in axes else "None" for axis in range(first, len(shape))]
    while index[-1:] == [":"]:
        index.pop()
    view = f"{c.x}[{', '.join(index)}]" if index else c.x
    grown = any(_grows(value.shape[axes.index(i)] if i in axes else 1, n) for i, n in enumerate(shape))
    return f"{view}.expand({each(shape)})" if grown and not thin else view


def _grows(before: Any, after: Any) -> bool:
    return size(before) != size(after)


def iota(c: Call) -> str:
    shape, axis = c.out.shape, c.params["dimension"]
    row = f"torch.arange({size(shape[axis])}, dtype={dtype(c.out.dtype)})"
    if len(shape) == 1:
        return row
    return f"{row}.reshape({each([n if i == axis else 1 for i, n in enumerate(shape)])}).expand({each(shape)})"


def dimension(c: Call) -> str:
    """The size of an axis as a number."""
    return f"torch.tensor({size(c.params['dim'])}, dtype={dtype(c.out.dtype)})"


def sliced(c: Call) -> str:
    ends = zip(c.params["start_indices"], c.params["limit_indices"], c.params["strides"] or [1] * 99, strict=False)
    parts = [_part(low, high, step, n) for (low, high, step), n in zip(ends, c.inputs[0].shape, strict=True)]
    while parts and parts[-1] == ":":
        parts.pop()
    return f"{c.x}[{', '.join(parts)}]" if parts else c.x


def _part(low: Any, high: Any, step: int, n: Any) -> str:
    first = "" if size(low) == "0" else size(low)
    last = "" if size(high) == size(n) else size(high)
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


def split(c: Call) -> list[str]:
    parts = c.let(f"torch.split({c.x}, {sizes(c.params['sizes'])}, {c.params['axis']})")
    return [f"{parts}[{i}]" for i in range(len(c.outputs))]


def unstack(c: Call) -> list[str]:
    rows = c.let(f"torch.unbind({c.x}, {c.params['axis']})")
    return [f"{rows}[{i}]" for i in range(len(c.outputs))]


def concatenate(c: Call) -> str:
    return f"torch.cat([{', '.join(map(c.tensor, range(len(c.inputs))))}], {c.params['dimension']})"


def stack(c: Call) -> str:
    return f"torch.stack([{', '.join(map(c.tensor, range(len(c.inputs))))}], {c.params['axis']})"


def pad(c: Call) -> str:
    config = c.params["padding_config"]
    if all(inner == 0 for _, _, inner in config):
        return f"F.pad({c.x}, {margins([(low, high) for low, high, _ in config])}, value={_item(c, 1)})"
    return f"padded({c.x}, {_item(c, 1)}, {tuple((int(a), int(b), int(i)) for a, b, i in config)})"


def margins(ends: Sequence[tuple[Any, Any]]) -> str:
    """As `F.pad` has them: the last axis first, and no axes in front that have none."""
    ends = [*ends]
    while len(ends) > 1 and ends[0] == (0, 0):
        ends.pop(0)
    return sizes([n for pair in reversed(ends) for n in pair])


def _item(c: Call, i: int) -> str:
    value = c.inputs[i].number
    return number(getattr(value, "real", value), c.inputs[i].dtype) if c.inputs[i].is_number else f"{c[i]}.item()"


def flip(c: Call) -> str:
    return f"{c.x}.flip({tuple(c.params['dimensions'])})"


def sort(c: Call) -> str | list[str]:
    axis, keys = c.params["dimension"], c.params["num_keys"]
    if len(c.inputs) == 1:
        return f"{c.x}.sort(dim={axis}, stable=True).values"
    order = c.let(f"sorting_order([{', '.join(map(c.tensor, range(keys)))}], {axis})")
    return [f"torch.take_along_dim({x}, {order}, {axis})" for x in map(c.tensor, range(len(c.inputs)))]


def top_k(c: Call) -> list[str]:
    """Of what is equal the first, which `torch.topk` does not promise."""
    found = c.let(f"{c.x}.sort(dim={c.params['axis']}, descending=True, stable=True)")
    first = f"narrow({c.params['axis']}, 0, {size(c.params['k'])})"
    return [f"{found}.values.{first}", f"{found}.indices.{first}.to({dtype(c.outputs[1].dtype)})"]


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
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), reshape),
    "transpose": transpose,
    "broadcast_in_dim": broadcast,
    "iota": iota,
    "dim_as_value": dimension,
    "slice": sliced,
    "split": split,
    "stack": stack,
    "unstack": unstack,
    "concatenate": concatenate,
    "pad": pad,
    "rev": flip,
    "sort": sort,
    "top_k": top_k,
    "gather": gather,
    **dict.fromkeys(("scatter", "scatter-add", "scatter-mul", "scatter-min", "scatter-max"), scatter),
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
}
