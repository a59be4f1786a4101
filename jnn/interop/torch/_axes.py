"""Axes: how torch lays out what a declaration lays out in its own way.

as_declared(path, shape and names of the Param, x, axes) -> x in the spec's layout
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
    if "gates" in names:
        said = "(g h) -> g h" if len(shape) == 2 else "(g h) i -> i g h"
        raise ValueError(
            f"gates have an order of their own; lstm_cell's and gru_cell's is torch's. {SAY.format(said)}, or take "
            "what jnn.layers.layers_from_torch makes of a recurrent module"
        )
    if not param.fan_in or path.rpartition("/")[2] == "table":
        batch_of_one = (1,) * (x.ndim - len(shape)) + shape  # how torch keeps what it adds to every example
        return x.reshape(shape) if x.shape in ((math.prod(shape),), batch_of_one) else x
    if not param.receptive and len(param.fan_in) > 1 and SPATIAL & {*param.fan_in}:
        raise ValueError(f"torch flattens channels before y and x. {SAY.format('o (c y x) -> y x c o')}")
    size = dict(zip(names, shape, strict=True))
    made = [name for name in names if name not in (*param.fan_in, *param.receptive)]
    theirs = [*made, *param.fan_in, *param.receptive]
    product = lambda axes: math.prod(size[name] for name in axes)
    merged = (product(made), product(param.fan_in), *(size[name] for name in param.receptive))
    whole = tuple(size[name] for name in theirs)
    if x.shape not in (merged, whole):
        hint = f" Of a transposed convolution? {SAY.format('i o y x -> y x i o')}" if param.receptive else ""
        raise ValueError(f"expected {merged}, of which {shape} are made.{hint}")
    return x.reshape(whole).transpose([theirs.index(name) for name in names])


def _said(axes: str, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Axes in another order, some of them taken apart: "o (c y x) -> y x c o", with the sizes that are declared;
    "-l" from its end to its start, "()" of size 1."""
    theirs, arrow, ours = axes.partition("->")
    groups = [group.strip("()").split() for group in re.findall(r"\([^()]*\)|[^\s()]+", theirs)]
    turned = {name[1:] for group in groups for name in group if name.startswith("-")}
    names, order = [name.removeprefix("-") for group in groups for name in group], ours.split()
    if not arrow or sorted(names) != sorted(order) or len(groups) != x.ndim or len(order) != len(shape):
        raise ValueError(
            f"expected its {x.ndim} axes in one order and the {len(shape)} declared ones in another, such as "
            f'"o i -> i o" or "o (c y x) -> y x c o", found {axes!r}'
        )
    size = dict(zip(order, shape, strict=True))
    wanted = tuple(math.prod(size[name.removeprefix("-")] for name in group) for group in groups)
    if x.shape != wanted:
        raise ValueError(f"expected {wanted}, which {axes!r} makes {shape} of")
    x = x.reshape([size[name] for name in names]).transpose([names.index(name) for name in order])
    return np.flip(x, [order.index(name) for name in turned])
