"""Inception modules, and the stem that networks of them share: convolutions side by side, their maps joined.

    mixed(p, x, stats) -> (x, stats)            {"branch1", ..., "pool"}; without a "pool" it halves the image
    branches(p, x, stats) -> (maps, stats)      of {"branch1", ...} alone
    inception_stem(p, x, stats) -> (x, stats)

A branch is {"unit1", ...}: convolution, batch norm and ReLU each; a unit {"across", "down"} is two side by side.
Laws: as in `_conv_norm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.layers import avg_pool, max_pool
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.param import Params, Spec

Kernel = int | tuple[int, int] | Literal["cross"]
Branch = tuple[tuple[int, Kernel], ...]  # the channels and the kernel of each unit
Mixed = tuple[tuple[Branch, ...], int]  # the branches; channels behind the pooling, 0 where the module halves
STEM = (32, 32, 64, 80, 192)
EPSILON = 1e-3


def inception_stem_spec(channels: int, widths: Sequence[int], dtype: DTypeLike) -> Spec:
    """{"unit1", ..., "unit5"}, of 3x3 but for the fourth."""
    sizes = zip([channels, *widths], widths, (3, 3, 3, 1, 3), strict=False)
    return {f"unit{i}": conv_norm_spec(a, b, kernel, dtype=dtype) for i, (a, b, kernel) in enumerate(sizes, 1)}


def inception_stem(p: Params, x: jax.Array, stats: Stats | None, weight: jax.Array | None) -> tuple[jax.Array, Stats]:
    """An eighth of the image, less borders: it is padded in the third convolution alone."""
    seen: Stats = {}
    for i in range(1, 6):
        name, padding = f"unit{i}", None if i == 3 else "VALID"
        stride = 2 if i == 1 else 1
        x, seen[name] = _unit(p[name], x, stats and stats[name], stride=stride, padding=padding, weight=weight)
        x = max_pool(x, (3, 3), stride=2) if i in (3, 5) else x
    return x, seen


def mixed_spec(c: int, module: Mixed, dtype: DTypeLike) -> tuple[Spec, int]:
    """{"branch1": {"unit1", ...}, ..., "pool": {"unit1"} where it does not halve} and the channels that come out."""
    each, pooled = module
    spec, total = branches_spec(c, each, dtype)
    if not pooled:
        return spec, total + c
    return spec | {"pool": {"unit1": conv_norm_spec(c, pooled, 1, dtype=dtype)}}, total + pooled


def branches_spec(c: int, each: Sequence[Branch], dtype: DTypeLike) -> tuple[Spec, int]:
    """{"branch1": {"unit1", ...}, ...} and how many channels they have together."""
    spec: Spec = {}
    total = 0
    for i, branch in enumerate(each, 1):
        units, wide = {}, c
        for j, (width, kernel) in enumerate(branch, 1):
            units[f"unit{j}"] = _unit_spec(wide, width, kernel, dtype)
            wide = 2 * width if kernel == "cross" else width
        spec[f"branch{i}"] = units
        total += wide
    return spec, total


def _unit_spec(c: int, width: int, kernel: Kernel, dtype: DTypeLike) -> Spec:
    if isinstance(kernel, str):
        return {"across": _unit_spec(c, width, (1, 3), dtype), "down": _unit_spec(c, width, (3, 1), dtype)}
    return conv_norm_spec(c, width, kernel, dtype=dtype)


def mixed(p: Params, x: jax.Array, stats: Stats | None, weight: jax.Array | None) -> tuple[jax.Array, Stats]:
    """Branches, and an average of 3x3 with a 1x1 convolution behind it; the maximum, striding, where there is none."""
    if "pool" not in p:
        h, seen = branches(p, x, stats, weight, stride=2)
        return jnp.concatenate([h, max_pool(x, (3, 3), stride=2)], -1), seen
    h, seen = branches(p, x, stats, weight)
    pooled = avg_pool(x, (3, 3), stride=1, padding="SAME")
    pooled, seen["pool"] = _branch(p["pool"], pooled, stats and stats["pool"], weight)
    return jnp.concatenate([h, pooled], -1), seen


def branches(
    p: Params, x: jax.Array, stats: Stats | None, weight: jax.Array | None, *, stride: int = 1
) -> tuple[jax.Array, Stats]:
    """The maps of all branches, joined, and the statistics used."""
    maps, seen = [], {}
    for i in range(1, 1 + sum(name.startswith("branch") for name in p)):
        name = f"branch{i}"
        h, seen[name] = _branch(p[name], x, stats and stats[name], weight, stride=stride)
        maps.append(h)
    return jnp.concatenate(maps, -1), seen


def _branch(
    p: Params, x: jax.Array, stats: Stats | None, weight: jax.Array | None, *, stride: int = 1
) -> tuple[jax.Array, Stats]:
    """Units one behind the other, of which the last strides, without padding where it does."""
    seen: Stats = {}
    for i in range(1, 1 + len(p)):
        name, here = f"unit{i}", stride if i == len(p) else 1
        padding = None if here == 1 else "VALID"
        x, seen[name] = _unit(p[name], x, stats and stats[name], stride=here, padding=padding, weight=weight)
    return x, seen


def _unit(
    p: Params, x: jax.Array, stats: Stats | None, *, stride: int, padding: str | None, weight: jax.Array | None
) -> tuple[jax.Array, Stats]:
    if "conv" in p:
        h, seen = conv_norm(p, x, stats, stride=stride, padding=padding, epsilon=EPSILON, weight=weight)
        return jax.nn.relu(h), seen
    maps, told = [], {}
    for name in ("across", "down"):
        given = stats and stats[name]
        h, told[name] = _unit(p[name], x, given, stride=stride, padding=padding, weight=weight)
        maps.append(h)
    return jnp.concatenate(maps, -1), told
