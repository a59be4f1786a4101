"""Inverted residual blocks with a gate on their wide maps: what EfficientNet and MobileNetV3 are made of.

Half the kernel is padded on all sides, as in PyTorch. Laws: as in `_conv_norm`; a part is used iff p has it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax.typing import DTypeLike

from jnn.layers import batch_norm, squeeze_excitation_spec
from jnn.models._conv_norm import Stats, conv_norm_spec, padded_conv
from jnn.param import Params, Spec

Activation = Callable[[jax.Array], jax.Array]
Gate = Callable[[Params, jax.Array], jax.Array]  # (p, x) -> x, each channel scaled


def gated_residual_spec(
    c_in: int, hidden: int, c_out: int, kernel: int, squeeze: int | None, *, dtype: DTypeLike
) -> Spec:
    """{"expand" (where hidden is not c_in), "depthwise", "squeeze" (a gate of so many features), "project"}."""
    expand = {"expand": conv_norm_spec(c_in, hidden, 1, dtype=dtype)} if hidden != c_in else {}
    gate = {} if squeeze is None else {"squeeze": squeeze_excitation_spec(hidden, squeeze, dtype=dtype)}
    depthwise = conv_norm_spec(hidden, hidden, kernel, groups=hidden, dtype=dtype)
    return {**expand, "depthwise": depthwise, **gate, "project": conv_norm_spec(hidden, c_out, 1, dtype=dtype)}


def gated_residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: None,
    *,
    stride: int,
    activation: Activation,
    gate: Gate,
    epsilon: float,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    """`x + project(gate(depthwise(expand(x))))`, as `through_stages` calls it."""
    h, seen = x, {}
    for name in ("expand", "depthwise", "squeeze", "project"):
        if name not in p:
            continue
        if name == "squeeze":
            h = gate(p[name], h)
            continue
        here = stride if name == "depthwise" else 1
        h, seen[name] = unit(p[name], h, stats and stats[name], stride=here, epsilon=epsilon, weight=weight)
        h = activation(h) if name != "project" else h
    return (x + h if x.shape == h.shape else h), seen


def unit(
    p: Params, x: jax.Array, stats: Stats | None, *, epsilon: float, stride: int = 1, weight: jax.Array | None = None
) -> tuple[jax.Array, Stats]:
    """`conv_norm` with this epsilon."""
    h = padded_conv(p["conv"], x, stride=stride)
    h, seen = batch_norm(p["norm"], h, stats and stats["norm"], weight=weight, epsilon=epsilon)
    return h, {"norm": seen}
