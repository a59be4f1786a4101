"""What residual networks share: stages of blocks, the stem's stride and the head.

A stage is its first block, which widens (and from the second stage on strides), and the rest, stacked and scanned, so
that compile time grows with the number of stages alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import dropout, global_avg_pool, linear, max_pool
from jnn.models._conv_norm import Stats
from jnn.param import Params, Spec, path_key, stack

Block = Callable[..., tuple[jax.Array, Stats]]  # (p, x, stats, key, stride=) -> (x, stats)


def block_sizes(c_in: int, c_out: int, bottleneck: int | None) -> list[tuple[int, int, int]]:
    """Channels in, channels out and kernel of a block's convolutions."""
    if bottleneck is None:
        return [(c_in, c_out, 3), (c_out, c_out, 3)]
    narrow = c_out // bottleneck
    return [(c_in, narrow, 1), (narrow, narrow, 3), (narrow, c_out, 1)]


def stages_spec(where: str, block: Callable[..., Spec], depths: Sequence[int], widths: Sequence[int]) -> Spec:
    """{"stage1": {"first", "rest"}, ...}: the first block from the width before, the others from the stage's own."""
    if len(widths) != len(depths) + 1 or min(depths, default=0) < 1:
        raise ValueError(
            f"{where}: expected a depth of 1 or more and a width for each stage, found depths={tuple(depths)}, "
            f"widths={tuple(widths[1:])}."
        )
    stages = {}
    for i, depth in enumerate(depths):
        stage = {"first": block(widths[i], widths[i + 1], _stage_stride(i))}
        rest = {"rest": stack(block(widths[i + 1], widths[i + 1], 1), depth - 1)} if depth > 1 else {}
        stages[f"stage{i + 1}"] = stage | rest
    return stages


def _stage_stride(i: int) -> int:
    return 1 if i == 0 else 2


def stem_stride(stem: Params) -> int:
    """2 of a stem of 7x7, for large images, and 1 of any other."""
    checks.params("conv", stem["conv"], "w", may=("b",))
    return 2 if stem["conv"]["w"].shape[0] == 7 else 1


def pooled_stem(stem: Params, x: jax.Array) -> jax.Array:
    """What follows a stem that strides: the maximum of 3x3, striding."""
    return x if stem_stride(stem) == 1 else max_pool(x, (3, 3), stride=2, padding=1)


def through_stages(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    block: Block,
    key: jax.Array | None,
    *,
    strides: Sequence[int] | None = None,
    **how: Any,
) -> tuple[jax.Array, Stats]:
    """All stages; in each, the blocks behind the first, which strides, are one body of code."""
    seen: Stats = {}
    for i in range(sum(name.startswith("stage") for name in p)):
        name = f"stage{i + 1}"
        stage, given = p[name], stats and stats[name]
        noise = {part: None if key is None else path_key(key, f"{name}/{part}") for part in ("first", "rest")}
        first = gather(stage["first"], f"{name}/first")
        stride = _stage_stride(i) if strides is None else strides[i]
        x, told = block(first, x, given and given["first"], noise["first"], stride=stride, **how)
        seen[name] = {"first": told}
        if "rest" not in stage:
            continue

        same = partial(block, stride=1, **how)
        x, seen[name]["rest"] = repeated(same, f"{name}/rest", stage["rest"], x, given and given["rest"], noise["rest"])
    return x, seen


def repeated(
    block: Block, path: str, p: Params, x: jax.Array, stats: Stats | None, key: jax.Array | None
) -> tuple[jax.Array, Stats]:
    """Stacked blocks `block(p, x, stats, key)`, one behind the other, as one body of code."""

    def body(x: jax.Array, one: Any) -> tuple[jax.Array, Stats]:
        p, stats, key = one
        x, told = block(gather(p, path), x, stats, key)
        return constrain(x, "y", "x", "channels"), told

    depth = jax.tree.leaves(p)[0].shape[0]
    keys = None if key is None else jax.random.split(key, depth)
    return jax.lax.scan(body, x, (p, stats, keys))


def strided_unit(p: Params, units: Sequence[str]) -> str:
    """The first unit whose kernel is larger than 1."""
    return next(name for name in units if p[name]["conv"]["w"].shape[0] > 1)


def head(p: Params, x: jax.Array, rate: float = 0.0, key: jax.Array | None = None) -> jax.Array:
    """The mean over the image, with dropout where there is a key, and its logits iff p has "out"."""
    x = global_avg_pool(constrain(x, "y", "x", "channels"))
    x = dropout(x, rate, key=None if key is None else path_key(key, "out"))
    return linear(gather(p["out"], "out"), x) if "out" in p else x
