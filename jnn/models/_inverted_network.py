"""Networks of inverted residuals: what MobileNets and EfficientNets share.

    staged_network_spec(classes, stages, stem, last) -> spec
    staged_network(where, p, x, stats) -> (logits, stats)   a stem, the stages, a "last" convolution, dropout, logits
    staged_maps(where, p, x, stats) -> (maps, stats)        those of them before dropout that p has

Laws: as in `_conv_norm`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._inverted_residual import (
    Activation,
    fused_residual,
    fused_residual_spec,
    inverted_residual,
    inverted_residual_spec,
)
from jnn.models._residual_stages import Block, head, stage_names, through_stages
from jnn.param import Params, Spec, check_key, stack


def staged_network_spec(
    classes: int,
    stages: Sequence[tuple[int, int, int, int]],
    *,
    stem: int,
    last: int,
    channels: int,
    gated: bool,
    fused: int = 0,
    dtype: DTypeLike,
) -> Spec:
    """{"stem", "stage1": {"first", "rest"}, ..., "last", "out"}; blocks that repeat are stacked.

    Args:
      classes: how many logits.
      stages: of each, the kernel of its blocks, by how much they widen, how many channels come out, how many there are.
      stem: channels of the first convolution.
      last: those of the one behind the stages.
      channels: of the images.
      gated: whether blocks have a gate of a quarter of the channels that come into them.
      fused: of how many stages, from the first, the blocks are fused, and have none.
      dtype: of all.
    """

    def block(i: int, c_in: int, c_out: int, kernel: int, widen: int) -> Spec:
        if i <= fused:
            return fused_residual_spec(c_in, c_out, kernel=kernel, hidden=c_in * widen, dtype=dtype)
        squeeze = max(1, c_in // 4) if gated else None
        return inverted_residual_spec(c_in, c_out, kernel=kernel, hidden=c_in * widen, squeeze=squeeze, dtype=dtype)

    spec: Spec = {"stem": conv_norm_spec(channels, stem, dtype=dtype)}
    c = stem
    for i, (kernel, widen, c_out, n) in enumerate(stages, 1):
        rest = {"rest": stack(block(i, c_out, c_out, kernel, widen), n - 1)} if n > 1 else {}
        spec[f"stage{i}"] = {"first": block(i, c, c_out, kernel, widen)} | rest
        c = c_out
    ends = {
        "last": conv_norm_spec(c, last, 1, dtype=dtype),
        "out": linear_spec(last, classes, axes=("channels", "classes"), dtype=dtype),
    }
    return spec | ends


def staged_network(
    where: str,
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    *,
    key: jax.Array | None,
    rate: float,
    **how: Any,
) -> tuple[jax.Array, Stats]:
    """Logits of images, and the statistics used; how is as in `staged_maps`."""
    checks.params(where, p, "stem", "stage1", "out", may=("last",))
    h, seen = staged_maps(where, p, x, stats, key=key, **how)
    return head(p, h, rate, key), seen


def staged_maps(
    where: str,
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    stem_stride: int,
    strides: Sequence[int],
    activation: Activation,
    block: Block | None = None,
    padding: str | int | None = None,
    epsilon: float = 1e-5,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    """Maps before the mean, and the statistics used; the convolutions before and behind the stages are those of p."""
    checks.floats(where, x, ndim=3)
    check_key(where, key, optional=True)
    checks.count(where, "stem_stride", stem_stride)
    if len(strides) != (stages := len(stage_names(p))):
        raise ValueError(f"{where}: expected a stride of each of {stages} stages, found {tuple(strides)}.")
    unit = partial(conv_norm, padding=padding, epsilon=epsilon, weight=weight)
    how = {"activation": activation, "padding": padding, "epsilon": epsilon, "weight": weight}
    seen: Stats = {}
    if "stem" in p:
        h, seen["stem"] = unit(gather(p["stem"], "stem"), x, stats and stats["stem"], stride=stem_stride)
        x = activation(h)
    x, of_stages = through_stages(p, x, stats, block or _block, key, strides=strides, drop_path=drop_path, **how)
    if "last" in p:
        h, of_stages["last"] = unit(gather(p["last"], "last"), x, stats and stats["last"])
        x = activation(h)
    return x, {**seen, **of_stages}


def _block(p: Params, x: jax.Array, stats: Stats | None, key: jax.Array | None, **how: Any) -> tuple[jax.Array, Stats]:
    return (inverted_residual if "depthwise" in p else fused_residual)(p, x, stats, key=key, **how)


def factor(where: str, name: str, value: float) -> float:
    """What a number of channels or blocks is multiplied by, once it is known to be above 0."""
    fits = lambda f: (f > 0) & (f < math.inf)
    known: float = checks.number(where, name, value, fits, "above 0 and finite", like=jnp.zeros(()))
    return known


def rounded(c: float) -> int:
    """The nearest multiple of 8, and not less than nine tenths of c."""
    return near + 8 if (near := nearest(c)) < 0.9 * c else near


def nearest(c: float) -> int:
    """The nearest multiple of 8."""
    return max(8, int(c + 4) // 8 * 8)
