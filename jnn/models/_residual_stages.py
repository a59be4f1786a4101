"""What residual networks share: stages of blocks, the stem's stride and the head.

A stage is its first block, which widens (and from the second stage on strides), and the rest, stacked and scanned, so
that compile time grows with the number of stages alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import jax

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import drop_path as dropped
from jnn.layers import drop_path_rates, dropout, global_avg_pool, linear, max_pool, weight_shape
from jnn.models._conv_norm import Stats
from jnn.models._stochastic_depth import depth_of, scanned_rates
from jnn.param import Params, Spec, path_key, stack

Block = Callable[..., tuple[jax.Array, Stats]]  # (p, x, stats, key, stride=, drop_path=) -> (x, stats)


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
    checks.params("conv", stem["conv"], "w", may=("b",), quantized=True)
    return 2 if weight_shape(stem["conv"]["w"])[0] == 7 else 1


def pooled_stem(stem: Params, x: jax.Array) -> jax.Array:
    """What follows a stem that strides: the maximum of 3x3, striding."""
    return x if stem_stride(stem) == 1 else max_pool(x, (3, 3), stride=2, padding=1)


def stage_names(p: Params) -> list[str]:
    """ "stage1", "stage2", ..., as far as there are any; of a part of a network, from the first that it has."""
    numbers = [stage_number(name) for name in p if name.startswith("stage")]
    return [f"stage{min(numbers) + i}" for i in range(len(numbers))]


def stage_number(name: str) -> int:
    """1 of "stage1"."""
    return int(name.removeprefix("stage"))


def check_stages(where: str, p: Params) -> None:
    """Raises unless p is a dict with a stage at least: whole networks, or some of their stages in a row."""
    checks.params(where, p)
    if not any(name.startswith("stage") for name in p):
        raise ValueError(f"{where}: expected params with a stage, such as 'stage1'; found the names {sorted(p)}.")


def through_stages(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    block: Block,
    key: jax.Array | None,
    *,
    strides: Sequence[int] | None = None,
    drop_path: float,
    **how: Any,
) -> tuple[jax.Array, Stats]:
    """All stages; in each, the blocks behind the first, which strides, are one body of code.

    The rate of stochastic depth grows from block to block, up to `drop_path` of the last one.
    """
    seen: Stats = {}
    names = stage_names(p)
    depths = [1 + (depth_of(p[name]["rest"]) if "rest" in p[name] else 0) for name in names]
    rates = iter(drop_path_rates(sum(depths), drop_path))
    for i, name in enumerate(names):
        stage, given = p[name], stats and stats[name]
        rate, *more = islice(rates, depths[i])
        noise = {part: None if key is None else path_key(key, f"{name}/{part}") for part in ("first", "rest")}
        first = gather(stage["first"], f"{name}/first")
        stride = _stage_stride(stage_number(name) - 1) if strides is None else strides[i]
        x, told = block(first, x, given and given["first"], noise["first"], stride=stride, drop_path=rate, **how)
        seen[name] = {"first": told}
        if "rest" not in stage:
            continue

        same, path = partial(block, stride=1, **how), f"{name}/rest"
        x, seen[name]["rest"] = repeated(same, path, stage["rest"], x, given and given["rest"], noise["rest"], more)
    return x, seen


def repeated(
    block: Block,
    path: str,
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: jax.Array | None,
    rates: Sequence[float] = (),
) -> tuple[jax.Array, Stats]:
    """Stacked blocks `block(p, x, stats, key)`, one behind the other, as one body of code.

    Where there are rates and noise, each gets its own as `drop_path`.
    """

    def body(x: jax.Array, one: Any) -> tuple[jax.Array, Stats]:
        p, stats, key, rate = one
        x, told = block(gather(p, path), x, stats, key, **rate)
        return constrain(x, "y", "x", "channels"), told

    keys = None if key is None else jax.random.split(key, depth_of(p))
    return jax.lax.scan(body, x, (p, stats, keys, scanned_rates(rates, key)))


def added(x: jax.Array, h: jax.Array, drop_path: float, key: jax.Array | None) -> jax.Array:
    """`x + h`, of which each example leaves out h at this rate."""
    return x + dropped(h, drop_path, key=key, in_axes=3)


def strided_unit(p: Params, units: Sequence[str]) -> str:
    """The first unit whose kernel is larger than 1."""
    return next(name for name in units if weight_shape(p[name]["conv"]["w"])[0] > 1)


def head(p: Params, x: jax.Array, rate: float = 0.0, key: jax.Array | None = None) -> jax.Array:
    """The mean over the image, with dropout where there is a key, and its logits iff p has "out"."""
    x = global_avg_pool(constrain(x, "y", "x", "channels"))
    x = dropout(x, rate, key=None if key is None else path_key(key, "out"))
    return linear(gather(p["out"], "out"), x) if "out" in p else x
