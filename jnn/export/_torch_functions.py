"""What torch has no word for: functions that a generated file defines beside its module, where it calls them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def padded(x: Tensor, value: float, config: tuple[tuple[int, int, int], ...]) -> Tensor:
    """x with `value` in front, behind and between the elements of each axis: (low, high, between)."""
    for axis, (low, high, between) in enumerate(config):
        if between:
            wide = [*x.shape]
            wide[axis] = max(0, (x.shape[axis] - 1) * (between + 1) + 1)
            apart = x.new_full(wide, value)
            apart[(slice(None),) * axis + (slice(None, None, between + 1),)] = x
            x = apart
        x = F.pad(x, (0, 0) * (x.ndim - 1 - axis) + (low, high), value=value)
    return x


def sign(x: Tensor) -> Tensor:
    """1, 0 or -1; of what is no number none."""
    return torch.where(x.isnan(), x, torch.sign(x))


def away_from_zero(x: Tensor) -> Tensor:
    """The nearest whole number; of two the one that is further from zero."""
    whole = torch.trunc(x)
    return whole + torch.sign(x) * (torch.abs(x - whole) >= 0.5)


def population_count(x: Tensor, bits: int) -> Tensor:
    """How many of the bits of integers are 1: side by side in pairs, in fours, and so on."""
    n = x.long() & (2**bits - 1) if bits < 64 else x
    n = n - ((n >> 1) & 0x5555555555555555)
    n = (n & 0x3333333333333333) + ((n >> 2) & 0x3333333333333333)
    n = (n + (n >> 4)) & 0x0F0F0F0F0F0F0F0F
    for more in (8, 16, 32):
        n = n + (n >> more)
    return n & 127


def leading_zeros(x: Tensor, bits: int) -> Tensor:
    """How many of the bits of integers are 0 before the first 1."""
    n = x.long() & (2**bits - 1) if bits < 64 else x
    for more in (1, 2, 4, 8, 16, 32):
        n = n | (n >> more)
    return bits - population_count(n, bits)


def shifted(x: Tensor, n: Tensor, bits: int) -> Tensor:
    """Integers shifted to the right, with zeros from the left whatever their sign."""
    if bits < 64:
        return ((x.long() & (2**bits - 1)) >> n).to(x.dtype)
    return torch.where(n == 0, x, ((x >> 1) & (2**63 - 1)) >> (n - 1))


def sorting_order(keys: list[Tensor], axis: int) -> Tensor:
    """The order that sorts by the first key, then by the second, and keeps what is equal in its order."""
    order = keys[-1].argsort(dim=axis, stable=True)
    for key in keys[-2::-1]:
        order = order.take_along_dim(key.take_along_dim(order, axis).argsort(dim=axis, stable=True), axis)
    return order


def window(x: Tensor, axis: int, start: Tensor, size: int) -> Tensor:
    """`size` elements along an axis from `start` on, which is moved until they are inside."""
    first = start.clamp(0, x.shape[axis] - size)
    return x.index_select(axis, first + torch.arange(size))


def taken(x: Tensor, index: Tensor, axis: int, fill: float) -> Tensor:
    """Rows of x along an axis, by their index, and `fill` for what is not there."""
    inside = (index >= 0) & (index < x.shape[axis])
    found = x[(slice(None),) * axis + (index.clamp(0, x.shape[axis] - 1),)]
    inside = inside.reshape(*inside.shape, *(1,) * (x.ndim - 1 - axis))
    return torch.where(inside, found, torch.tensor(fill, dtype=x.dtype))


def places(
    shape: tuple[int, ...],
    indices: Tensor,
    axes: tuple[int, ...],
    sizes: tuple[int, ...],
    batched: tuple[tuple[int, int], ...],
    clip: bool,
) -> tuple[Tensor, Tensor]:
    """Windows of an array, laid out flat: (*batch, *sizes) positions, and (*batch, 1, ...) whether each is inside."""
    *batch, _ = indices.shape
    ones = [1] * len(sizes)
    flat, inside = torch.zeros([], dtype=torch.int64), torch.ones([*batch, *ones], dtype=torch.bool)
    for axis, (length, size) in enumerate(zip(shape, sizes, strict=True)):
        start = torch.zeros([], dtype=torch.int64)
        if axis in axes:
            start = indices[..., axes.index(axis)].reshape(*batch, *ones).long()
            inside = inside & (start >= 0) & (start <= length - size)
            start = start.clamp(0, length - size)
        for own, other in batched:
            if own == axis:
                start = torch.arange(length).reshape([length if i == other else 1 for i in range(len(batch))] + ones)
        along = torch.arange(size).reshape([size if i == axis else 1 for i in range(len(sizes))])
        flat = flat * length + start + along
    return flat.expand(*batch, *sizes), torch.ones_like(inside) if clip else inside


def gathered(
    x: Tensor,
    indices: Tensor,
    *,
    axes: tuple[int, ...],
    sizes: tuple[int, ...],
    offsets: tuple[int, ...],
    dropped: tuple[int, ...],
    batched: tuple[tuple[int, int], ...] = (),
    fill: float | None = None,
) -> Tensor:
    """Windows of x that begin at the indices (*batch, axes): axes `dropped` go, the others lie at `offsets`.

    A window that is not inside is moved until it is, or holds `fill`.
    """
    flat, inside = places(x.shape, indices, axes, sizes, batched, clip=fill is None)
    found = x.reshape(-1)[flat]
    if fill is not None:
        found = torch.where(inside, found, torch.tensor(fill, dtype=x.dtype))
    batch, kept = indices.shape[:-1], [size for axis, size in enumerate(sizes) if axis not in dropped]
    found, rest = found.reshape(*batch, *kept), iter(range(len(batch)))
    order = [len(batch) + offsets.index(i) if i in offsets else next(rest) for i in range(found.ndim)]
    return found.permute(order)


def scattered(
    x: Tensor,
    indices: Tensor,
    updates: Tensor,
    how: str,
    *,
    axes: tuple[int, ...],
    windows: tuple[int, ...],
    dropped: tuple[int, ...],
    batched: tuple[tuple[int, int], ...] = (),
    clip: bool = False,
) -> Tensor:
    """x with windows of updates put, added, ... where the indices (*batch, axes) say; none where that is not inside."""
    order = [axis for axis in range(updates.ndim) if axis not in windows] + [*windows]
    found = iter(windows)
    sizes = tuple(1 if axis in dropped else updates.shape[next(found)] for axis in range(x.ndim))
    flat, inside = places(x.shape, indices, axes, sizes, batched, clip)
    flat = torch.where(inside, flat, x.numel()).reshape(-1)  # behind the last, which is cut off
    room, rows = F.pad(x.reshape(-1), (0, 1)), updates.permute(order).reshape(-1)
    if how == "set":
        done = room.scatter(0, flat, rows)
    elif how == "sum":
        done = room.index_add(0, flat, rows)
    else:
        done = room.scatter_reduce(0, flat, rows, how)
    return done[:-1].reshape(x.shape)
