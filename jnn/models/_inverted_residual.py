"""Inverted residual blocks of convolutions with batch norms, which MobileNetV2 and EfficientNet-Lite stack."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax.typing import DTypeLike

from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.param import Params, Spec

Unit = Callable[..., tuple[jax.Array, Stats]]


def inverted_residual_spec(c_in: int, c_out: int, kernel: int, widen: int, dtype: DTypeLike) -> Spec:
    """{"expand" (where it widens), "depthwise", "project"}, each {"conv", "norm"}."""
    c = c_in * widen
    expand = {"expand": conv_norm_spec(c_in, c, 1, dtype=dtype)} if widen > 1 else {}
    depthwise = conv_norm_spec(c, c, kernel, groups=c, dtype=dtype)
    return expand | {"depthwise": depthwise, "project": conv_norm_spec(c, c_out, 1, dtype=dtype)}


def inverted_residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: None,
    *,
    stride: int,
    weight: jax.Array | None,
    unit: Unit = conv_norm,
) -> tuple[jax.Array, Stats]:
    """`x + project(depthwise(expand(x)))`, x where the shapes are the same; a block for `through_stages`."""
    h, seen = x, {}
    for name in ("expand", "depthwise", "project"):
        if name in p:
            here = stride if name == "depthwise" else 1
            h, seen[name] = unit(p[name], h, stats and stats[name], stride=here, weight=weight)
            h = jax.nn.relu6(h) if name != "project" else h
    return (x + h if x.shape == h.shape else h), seen


def rounded(c: float) -> int:
    """The nearest multiple of 8, and not less than nine tenths of c."""
    near = max(8, int(c + 4) // 8 * 8)
    return near + 8 if near < 0.9 * c else near
