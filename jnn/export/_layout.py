"""Rules of primitives that move elements: shapes, slices, joins, and sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jnn.export._literals import dtype, each, number, size, sizes
from jnn.export._writer import Call, Rule


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
    view = _indexed(c.x, index)
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
    shape = c.inputs[0].shape
    ends = c.params["start_indices"], c.params["limit_indices"], c.params["strides"] or [1] * len(shape)
    return _indexed(c.x, [_part(*part) for part in zip(*ends, shape, strict=True)])


def _indexed(x: str, parts: list[str]) -> str:
    """x with an index, without what takes all of the last axes."""
    while parts and parts[-1] == ":":
        parts.pop()
    return f"{x}[{', '.join(parts)}]" if parts else x


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


def tile(c: Call) -> str:
    return f"{c.x}.repeat({each(c.params['reps'])})"


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


RULES: dict[str, Rule] = {
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), reshape),
    "transpose": transpose,
    "broadcast_in_dim": broadcast,
    "iota": iota,
    "dim_as_value": dimension,
    "slice": sliced,
    "split": split,
    "stack": stack,
    "tile": tile,
    "unstack": unstack,
    "concatenate": concatenate,
    "pad": pad,
    "rev": flip,
    "sort": sort,
    "top_k": top_k,
}
