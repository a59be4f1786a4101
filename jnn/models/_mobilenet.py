"""MobileNetV2: inverted residual blocks, which widen, convolve each channel by itself, and narrow again.

Stages are those of `_residual_stages`: blocks that repeat are stacked and scanned. Laws: as in `_resnet`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import dropout, global_avg_pool, linear, linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._inverted_residual import inverted_residual, inverted_residual_spec, rounded
from jnn.models._residual_stages import through_stages
from jnn.param import Params, Spec, check_key, path_key, stack

# by how much a stage's blocks widen, how many channels come out, how many blocks there are
STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STRIDES = (1, 2, 2, 2, 1, 2, 1)


def mobilenet_v2_spec(
    classes: int,
    *,
    stages: Sequence[tuple[int, int, int]] = STAGES,
    stem: int = 32,
    last: int = 1280,
    multiplier: float = 1.0,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a MobileNetV2.

    Args:
      classes: how many logits.
      stages: of each, by how much its blocks widen, how many channels come out, and how many blocks there are.
      stem: channels of the first convolution.
      last: those of the one behind the stages.
      multiplier: of all channels, rounded to multiples of 8; the last convolution is not narrowed.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "last": {"conv", "norm"},
      "out"}, where a block is {"expand" (where it widens), "depthwise", "project"}, each {"conv", "norm"}

    >>> mobilenet_v2_spec(1000)["stage2"]["rest"]["depthwise"]["conv"]["w"].shape
    (1, 3, 3, 1, 144)
    """

    c = rounded(stem * multiplier)
    spec: Spec = {"stem": conv_norm_spec(channels, c, dtype=dtype)}
    for i, (widen, width, depth) in enumerate(stages, 1):
        before, c = c, rounded(width * multiplier)
        rest = {"rest": stack(inverted_residual_spec(c, c, 3, widen, dtype), depth - 1)} if depth > 1 else {}
        spec[f"stage{i}"] = {"first": inverted_residual_spec(before, c, 3, widen, dtype)} | rest
    wide = max(last, rounded(last * multiplier)) if multiplier > 1 else last
    spec["last"] = conv_norm_spec(c, wide, 1, dtype=dtype)
    return spec | {"out": linear_spec(wide, classes, axes=("channels", "classes"), dtype=dtype)}


def mobilenet_v2(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    strides: Sequence[int] = STRIDES,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """MobileNetV2: blocks `x + project(depthwise(expand(x)))`, linear where they are narrow.

    See "MobileNetV2: Inverted Residuals and Linear Bottlenecks", Sandler et al., 2018.

    Args:
      p: as `mobilenet_v2_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout before the logits.
      strides: of the first block of each stage.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty; strides are not one of each stage.

    >>> from jnn.param import abstract
    >>> p, images = abstract(mobilenet_v2_spec(1000)), jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: mobilenet_v2(p, x, key=None)[0], p, images).shape
    (8, 1000)
    """
    checks.params("mobilenet_v2", p, "stem", "stage1", "last", "out")
    checks.floats("mobilenet_v2", x, ndim=3)
    check_key("mobilenet_v2", key, optional=True)
    if len(strides) != (stages := sum(name.startswith("stage") for name in p)):
        raise ValueError(f"mobilenet_v2: expected a stride of each of {stages} stages, found {tuple(strides)}.")
    h, first = conv_norm(gather(p["stem"], "stem"), x, stats and stats["stem"], stride=2, weight=weight)
    h, seen = through_stages(p, jax.nn.relu6(h), stats, inverted_residual, None, strides=strides, weight=weight)
    h, last = conv_norm(gather(p["last"], "last"), h, stats and stats["last"], weight=weight)
    h = global_avg_pool(constrain(jax.nn.relu6(h), "y", "x", "channels"))
    h = dropout(h, rate, key=None if key is None else path_key(key, "out"))
    return linear(gather(p["out"], "out"), h), {"stem": first, **seen, "last": last}
