"""EfficientNet-Lite: inverted residual blocks of 3x3 and 5x5 kernels, in sizes that two factors give.

Stages are those of `_residual_stages`: blocks that repeat are stacked and scanned. Padding is "SAME", which is not
symmetric where a convolution strides, as in TensorFlow. Laws: as in `_resnet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.models._conv_norm import Stats
from jnn.models._efficientnet import STAGES, STRIDES
from jnn.models._inverted_network import factor, rounded, staged_maps, staged_network, staged_network_spec
from jnn.models._residual_stages import check_stages, stage_names, stage_number
from jnn.param import Params, Spec

EFFICIENTNETS_LITE: dict[str, dict[str, float]] = {  # factors for `efficientnet_lite_spec`
    "efficientnet_lite0": {"width": 1.0, "depth": 1.0},  # for images of 224
    "efficientnet_lite1": {"width": 1.0, "depth": 1.1},  # 240
    "efficientnet_lite2": {"width": 1.1, "depth": 1.2},  # 260
    "efficientnet_lite3": {"width": 1.2, "depth": 1.4},  # 280
    "efficientnet_lite4": {"width": 1.4, "depth": 1.8},  # 300
}
EPSILON = 1e-3


def efficientnet_lite_spec(
    classes: int,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = STAGES,
    stem: int = 32,
    last: int = 1280,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an EfficientNet-Lite; the factors of published ones are in `EFFICIENTNETS_LITE`.

    Args:
      classes: how many logits.
      width: factor of the channels of all stages, which are rounded to multiples of 8.
      depth: factor of the number of blocks of all stages but the first and the last, rounded up.
      stages: of each, the kernel of its blocks, by how much they widen, how many channels come out, and how many
        blocks there are.
      stem: channels of the first convolution.
      last: those of the one behind the stages.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "last": {"conv", "norm"},
      "out"}, where a block is {"expand" (where it widens), "depthwise", "project"}, each {"conv", "norm"}

    Raises:
      ValueError: a factor is not above 0.

    >>> efficientnet_lite_spec(1000)["stage3"]["rest"]["depthwise"]["conv"]["w"].shape
    (1, 5, 5, 1, 240)
    """
    width, depth = (factor("efficientnet_lite_spec", name, f) for name, f in (("width", width), ("depth", depth)))
    ends = (0, len(stages) - 1)
    scaled = [
        (kernel, widen, rounded(c_out * width), blocks if i in ends else math.ceil(blocks * depth))
        for i, (kernel, widen, c_out, blocks) in enumerate(stages)
    ]
    return staged_network_spec(classes, scaled, stem=stem, last=last, channels=channels, gated=False, dtype=dtype)


def efficientnet_lite(
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
    """EfficientNet-Lite: blocks (MBConv) `x + project(depthwise(expand(x)))`, without gates and with ReLU6.

    See "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan and Le, 2019; as for phones in
    "Higher accuracy on vision models with EfficientNet-Lite", Liu, 2020. Published weights expect pixels `(x - 127) /
    128`.

    Args:
      p: as `efficientnet_lite_spec` declares.
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
    >>> p, images = abstract(efficientnet_lite_spec(1000)), jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: efficientnet_lite(p, x, key=None)[0], p, images).shape
    (8, 1000)
    """
    return staged_network(
        "efficientnet_lite",
        p,
        x,
        stats,
        key=key,
        rate=rate,
        drop_path=drop_path,
        stem_stride=stem_stride,
        strides=strides,
        activation=jax.nn.relu6,
        padding="SAME",
        epsilon=EPSILON,
        weight=weight,
    )


def efficientnet_lite_maps(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    stem_stride: int = 2,
    strides: Sequence[int] | None = None,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Feature maps of an EfficientNet-Lite, what the mean and the logits are read from; or of a part of its stages.

    What for, see `resnet_maps`.

    Args:
      p: some stages in a row, as `efficientnet_lite_spec` declares them, with the convolutions before and behind all
        of them iff p has "stem" and "last"; "out" is not read.
      x: images where p has the stem, else the maps of the stage before: (..., y, x, c), floating point.
      stats, key, stem_stride, weight: as in `efficientnet_lite`; stats may hold more than p does.
      drop_path: of stochastic depth, in the last block that p has.
      strides: of the first block of each stage that p has; None for those of the published ones.

    Returns:
      (..., y / strides, x / strides, channels), in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: p has no stage, x other channels than p was declared for, or no elements; strides are not one of each
        stage.

    >>> from jnn.param import abstract
    >>> p = abstract(efficientnet_lite_spec(1000))
    >>> last = {name: p.pop(name) for name in ("stage6", "stage7", "last")}
    >>> part = lambda p, x: efficientnet_lite_maps(p, x, key=None)[0]
    >>> maps = jax.eval_shape(part, p, jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32))
    >>> maps.shape, jax.eval_shape(part, last, maps).shape
    ((8, 14, 14, 112), (8, 7, 7, 1280))
    """
    check_stages("efficientnet_lite_maps", p)
    published = [STRIDES[stage_number(name) - 1] for name in stage_names(p)] if strides is None else strides
    return staged_maps(
        "efficientnet_lite_maps",
        p,
        x,
        stats,
        key=key,
        drop_path=drop_path,
        stem_stride=stem_stride,
        strides=published,
        activation=jax.nn.relu6,
        padding="SAME",
        epsilon=EPSILON,
        weight=weight,
    )
