"""EfficientNetV2: inverted residual blocks, of which the first stages' are fused: one full convolution in place of two.

Stages are those of `_residual_stages`: blocks that repeat are stacked and scanned. Laws: as in `_resnet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.models._conv_norm import Stats
from jnn.models._inverted_network import nearest, staged_network, staged_network_spec
from jnn.models._residual_stages import stage_names
from jnn.param import Params, Spec

# the kernel of a stage's blocks, by how much they widen, how many channels come out, how many blocks there are
BASE = ((3, 1, 16, 1), (3, 4, 32, 2), (3, 4, 48, 2), (3, 4, 96, 3), (3, 6, 112, 5), (3, 6, 192, 8))
SMALL = ((3, 1, 24, 2), (3, 4, 48, 4), (3, 4, 64, 4), (3, 4, 128, 6), (3, 6, 160, 9), (3, 6, 256, 15))
MEDIUM = (
    *((3, 1, 24, 3), (3, 4, 48, 5), (3, 4, 80, 5)),
    *((3, 4, 160, 7), (3, 6, 176, 14), (3, 6, 304, 18), (3, 6, 512, 5)),
)
LARGE = (
    *((3, 1, 32, 4), (3, 4, 64, 7), (3, 4, 96, 7)),
    *((3, 4, 192, 10), (3, 6, 224, 19), (3, 6, 384, 25), (3, 6, 640, 7)),
)
EFFICIENTNETS_V2: dict[str, dict[str, Any]] = {  # sizes for `efficientnet_v2_spec`
    "efficientnet_v2_b0": {"stages": BASE, "stem": 32},  # for images of 224
    "efficientnet_v2_b1": {"stages": BASE, "stem": 32, "depth": 1.1},  # 240
    "efficientnet_v2_b2": {"stages": BASE, "stem": 32, "width": 1.1, "depth": 1.2},  # 260
    "efficientnet_v2_b3": {"stages": BASE, "stem": 32, "width": 1.2, "depth": 1.4},  # 300
    "efficientnet_v2_s": {"stages": SMALL, "stem": 24},  # 384
    "efficientnet_v2_m": {"stages": MEDIUM, "stem": 24},  # 480
    "efficientnet_v2_l": {"stages": LARGE, "stem": 32},  # 480
}
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EPSILON = 1e-3


def efficientnet_v2_spec(
    classes: int,
    *,
    stages: Sequence[tuple[int, int, int, int]] = SMALL,
    fused: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    stem: int = 24,
    last: int = 1280,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an EfficientNetV2; the sizes of the published ones are in `EFFICIENTNETS_V2`.

    Args:
      classes: how many logits.
      stages: of each, the kernel of its blocks, by how much they widen, how many channels come out, and how many
        blocks there are.
      fused: of how many stages, from the first, the blocks are fused; those of the others have a gate.
      width: factor of all channels, which are rounded to multiples of 8.
      depth: factor of the number of blocks of all stages, rounded up.
      stem: channels of the first convolution.
      last: those of the one behind the stages.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "last": {"conv", "norm"},
      "out"}, where a block is {"expand" (where it widens), "depthwise", "project"}, each {"conv", "norm"}, and
      "squeeze", a gate of a quarter of the block's channels; a fused one is {"expand" (where it widens), "project"}

    >>> efficientnet_v2_spec(1000)["stage2"]["rest"]["expand"]["conv"]["w"].shape
    (3, 3, 3, 48, 192)
    """
    c, wide = nearest(stem * width), nearest(last * width)
    scaled = [(kernel, widen, nearest(c_out * width), math.ceil(n * depth)) for kernel, widen, c_out, n in stages]
    return staged_network_spec(
        classes, scaled, stem=c, last=wide, channels=channels, gated=True, fused=fused, dtype=dtype
    )


def efficientnet_v2(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    drop_path: float = 0.0,
    stem_stride: int = 2,
    strides: Sequence[int] | None = None,
    padding: str | int | None = "SAME",
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """EfficientNetV2: blocks `x + project(expand(x))` (Fused-MBConv), then those of EfficientNet (MBConv), with SiLU.

    See "EfficientNetV2: Smaller Models and Faster Training", Tan and Le, 2021.

    Args:
      p: as `efficientnet_v2_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout and stochastic depth, None for none.
      rate: of dropout before the logits.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`: 0.2 in the paper's code; blocks
        that add nothing are never dropped.
      stem_stride: of the first convolution; 1 for small images, such as CIFAR's.
      strides: of the first block of each stage; None for those of the published ones.
      padding: "SAME", which is not symmetric where a convolution strides, as in the paper's code and in Keras; None
        for the same on all sides, as in torchvision.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty; strides are not one of each stage.

    >>> from jnn.param import abstract
    >>> p = abstract(efficientnet_v2_spec(10, stages=((3, 1, 8, 1), (3, 4, 16, 2)), fused=1))
    >>> images = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: efficientnet_v2(p, x, key=None)[0], p, images).shape
    (8, 10)
    """
    checks.params("efficientnet_v2", p, "stage1")
    return staged_network(
        "efficientnet_v2",
        p,
        x,
        stats,
        key=key,
        rate=rate,
        drop_path=drop_path,
        stem_stride=stem_stride,
        strides=STRIDES[: len(stage_names(p))] if strides is None else strides,
        activation=jax.nn.silu,
        padding=padding,
        epsilon=EPSILON,
        weight=weight,
    )
