"""Axes: how torch lays out what a declaration lays out in its own way.

as_declared(path, param, x, axes, stacked) -> x in the spec's layout
as_in_torch(path, param, x, axes, stacked) -> x in torch's

Law: each is the other's inverse.
"""

from __future__ import annotations

import math
import re

import numpy as np

from jnn.param import Param

SPATIAL = {"z", "y", "x"}
SAY = 'Say how its axes lie: (name, "{}")'


def as_declared(path: str, param: Param, x: np.ndarray, axes: str | None, stacked: int) -> np.ndarray:
    """One layer's array as the spec lays it out.

    Raises:
      ValueError: its shape is not that of the same weights in torch, or the declaration does not tell how they lie.
    """
    if stacked > param.stacked:
        declared = f"stacks along {param.stacked} axes" if param.stacked else "one layer"
        raise ValueError(f"the spec declares {declared}, not a stack of them")
    names, shape = param.axes[stacked:], param.shape[stacked:]
    if axes is not None:
        return _said(axes, x, shape)
    _check(param, names)
    if not _is_map(path, param):
        batch_of_one = (1,) * (x.ndim - len(shape)) + shape  # how torch keeps what it adds to every example
        return x.reshape(shape) if x.shape in ((math.prod(shape),), batch_of_one) else x
    theirs, whole, merged = _of_a_map(param, names, shape)
    if x.shape not in (merged, whole):
        hint = f" Of a transposed convolution? {SAY.format('i o y x -> y x i o')}" if param.receptive else ""
        raise ValueError(f"expected {merged}, of which {shape} are made.{hint}")
    return x.reshape(whole).transpose([theirs.index(name) for name in names])


def as_in_torch(path: str, param: Param, x: np.ndarray, axes: str | None, stacked: int) -> np.ndarray:
    """One layer's array as torch lays it out: a weight (out, in, ...), what is no map in one axis.

    Raises:
      ValueError: the declaration does not tell how.
    """
    names, shape = param.axes[stacked:], param.shape[stacked:]
    if axes is not None:
        return _unsaid(axes, x)
    _check(param, names)
    if not _is_map(path, param):
        return x if path.rpartition("/")[2] == "table" else x.reshape(-1)
    theirs, _, merged = _of_a_map(param, names, shape)
    return x.transpose([names.index(name) for name in theirs]).reshape(merged)


def _is_map(path: str, param: Param) -> bool:
    return bool(param.fan_in) and path.rpartition("/")[2] != "table"


def _check(param: Param, names: tuple[str, ...]) -> None:
    """Raises where torch has an order of its own."""
    if "gates" in names:
        said = "(g h) -> g h" if len(names) == 2 else "(g h) i -> i g h"
        raise ValueError(
            f"gates have an order of their own; lstm_cell's and gru_cell's is torch's. {SAY.format(said)}, or take "
            "what jnn.layers.layers_from_torch makes of a recurrent module"
        )
    if not param.receptive and len(param.fan_in) > 1 and SPATIAL & {*param.fan_in}:
        raise ValueError(f"torch flattens channels before y and x. {SAY.format('o (c y x) -> y x c o')}")


def _of_a_map(
    param: Param, names: tuple[str, ...], shape: tuple[int, ...]
) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
    """The axes in torch's order, their sizes, and sizes where what is made, and what is summed over, is one axis."""
    size = dict(zip(names, shape, strict=True))
    made = [name for name in names if name not in (*param.fan_in, *param.receptive)]
    theirs = [*made, *param.fan_in, *param.receptive]
    product = lambda axes: math.prod(size[name] for name in axes)
    merged = (product(made), product(param.fan_in), *(size[name] for name in param.receptive))
    return theirs, tuple(size[name] for name in theirs), merged


def _said(axes: str, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Axes in another order, some of them taken apart: "o (c y x) -> y x c o", with the sizes that are declared;
    "-l" from its end to its start, "()" of size 1."""
    groups, turned, order = _read(axes)
    names = [name for group in groups for name in group]
    if sorted(names) != sorted(order) or len(groups) != x.ndim or len(order) != len(shape):
        raise ValueError(
            f"expected its {x.ndim} axes in one order and the {len(shape)} declared ones in another, such as "
            f'"o i -> i o" or "o (c y x) -> y x c o", found {axes!r}'
        )
    size = dict(zip(order, shape, strict=True))
    wanted = tuple(math.prod(size[name] for name in group) for group in groups)
    if x.shape != wanted:
        raise ValueError(f"expected {wanted}, which {axes!r} makes {shape} of")
    x = x.reshape([size[name] for name in names]).transpose([names.index(name) for name in order])
    return np.flip(x, tuple(order.index(name) for name in turned))


def _unsaid(axes: str, x: np.ndarray) -> np.ndarray:
    """The way back."""
    groups, turned, order = _read(axes)
    names = [name for group in groups for name in group]
    if sorted(names) != sorted(order) or len(order) != x.ndim:
        raise ValueError(f"expected the same axes on both sides, {x.ndim} of them behind the arrow, found {axes!r}")
    size = dict(zip(order, x.shape, strict=True))
    x = np.flip(x, tuple(order.index(name) for name in turned)).transpose([order.index(name) for name in names])
    return x.reshape([math.prod(size[name] for name in group) for group in groups])


def _read(axes: str) -> tuple[list[list[str]], set[str], list[str]]:
    """Of "o (c -x) -> x c o" torch's axes, in groups that are one there; which are turned; and the declared ones."""
    theirs, _, ours = axes.partition("->")
    marked = [group.strip("()").split() for group in re.findall(r"\([^()]*\)|[^\s()]+", theirs)]
    turned = {name[1:] for group in marked for name in group if name.startswith("-")}
    return [[name.removeprefix("-") for name in group] for group in marked], turned, ours.split()
