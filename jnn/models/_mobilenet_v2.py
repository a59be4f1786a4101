"""MobileNetV2: inverted residual blocks, which widen, convolve each channel by itself, and narrow again.

Stages are those of `_residual_stages`: blocks that repeat are stacked and scanned. Laws: as in `_resnet`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.models._conv_norm import Stats
from jnn.models._inverted_network import factor, rounded, staged_network, staged_network_spec
from jnn.param import Params, Spec

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

    Raises:
      ValueError: the multiplier is not above 0.

    >>> mobilenet_v2_spec(1000)["stage2"]["rest"]["depthwise"]["conv"]["w"].shape
    (1, 3, 3, 1, 144)
    """
    multiplier = factor("mobilenet_v2_spec", "multiplier", multiplier)
    c = rounded(stem * multiplier)
    scaled = [(3, widen, rounded(width * multiplier), depth) for widen, width, depth in stages]
    wide = max(last, rounded(last * multiplier)) if multiplier > 1 else last
    return staged_network_spec(classes, scaled, stem=c, last=wide, channels=channels, gated=False, dtype=dtype)


def mobilenet_v2(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    drop_path: float = 0.0,
    stem_stride: int = 2,
    strides: Sequence[int] = STRIDES,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """MobileNetV2: blocks `x + project(depthwise(expand(x)))`, linear where they are narrow.

    See "MobileNetV2: Inverted Residuals and Linear Bottlenecks", Sandler et al., 2018.

    Args:
      p: as `mobilenet_v2_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout and stochastic depth, None for none.
      rate: of dropout before the logits.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`: blocks that add nothing are never
        dropped.
      stem_stride: of the first convolution; 1 for small images, such as CIFAR's.
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
    return staged_network(
        "mobilenet_v2",
        p,
        x,
        stats,
        key=key,
        rate=rate,
        drop_path=drop_path,
        stem_stride=stem_stride,
        strides=strides,
        activation=jax.nn.relu6,
        weight=weight,
    )
