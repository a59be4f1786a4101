"""EfficientNet: inverted residual blocks with gates and SiLU, in sizes that two factors give.

Stages are those of `_residual_stages`: blocks that repeat are stacked and scanned. (Without gates, for phones:
`_efficientnet_lite`.) Laws: as in `_resnet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.models._conv_norm import Stats
from jnn.models._inverted_network import factor, rounded, staged_network, staged_network_spec
from jnn.param import Params, Spec

# the kernel of a stage's blocks, by how much they widen, how many channels come out, how many blocks there are
STAGES = ((3, 1, 16, 1), (3, 6, 24, 2), (5, 6, 40, 2), (3, 6, 80, 3), (5, 6, 112, 3), (5, 6, 192, 4), (3, 6, 320, 1))
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EFFICIENTNETS: dict[str, dict[str, float]] = {  # factors for `efficientnet_spec`
    "efficientnet_b0": {"width": 1.0, "depth": 1.0},  # for images of 224
    "efficientnet_b1": {"width": 1.0, "depth": 1.1},  # 240
    "efficientnet_b2": {"width": 1.1, "depth": 1.2},  # 260
    "efficientnet_b3": {"width": 1.2, "depth": 1.4},  # 300
    "efficientnet_b4": {"width": 1.4, "depth": 1.8},  # 380
    "efficientnet_b5": {"width": 1.6, "depth": 2.2},  # 456
    "efficientnet_b6": {"width": 1.8, "depth": 2.6},  # 528
    "efficientnet_b7": {"width": 2.0, "depth": 3.1},  # 600
}


def efficientnet_spec(
    classes: int,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = STAGES,
    stem: int = 32,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an EfficientNet; the factors of the published ones are in `EFFICIENTNETS`.

    Args:
      classes: how many logits.
      width: factor of all channels, which are rounded to multiples of 8.
      depth: factor of the number of blocks of all stages, rounded up.
      stages: of each, the kernel of its blocks, by how much they widen, how many channels come out, and how many
        blocks there are.
      stem: channels of the first convolution; the last one has four times those of the last stage.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "last": {"conv", "norm"},
      "out"}, where a block is {"expand" (where it widens), "depthwise", "project"}, each {"conv", "norm"}, and
      "squeeze", a gate of a quarter of the block's channels

    Raises:
      ValueError: a factor is not above 0.

    >>> efficientnet_spec(1000)["stage3"]["rest"]["squeeze"]["down"]["w"].shape
    (1, 240, 10)
    """
    width, depth = (factor("efficientnet_spec", name, f) for name, f in (("width", width), ("depth", depth)))
    c = rounded(stem * width)
    scaled = [(kernel, widen, rounded(c_out * width), math.ceil(n * depth)) for kernel, widen, c_out, n in stages]
    last = 4 * scaled[-1][2]
    return staged_network_spec(classes, scaled, stem=c, last=last, channels=channels, gated=True, dtype=dtype)


def efficientnet(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    drop_path: float = 0.0,
    stem_stride: int = 2,
    strides: Sequence[int] = STRIDES,
    epsilon: float = 1e-5,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """EfficientNet: blocks (MBConv) `x + project(gate(depthwise(expand(x))))` with SiLU.

    See "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan and Le, 2019. Padding is the
    same on all sides, as in torchvision.

    Args:
      p: as `efficientnet_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout and stochastic depth, None for none.
      rate: of dropout before the logits; the paper's grows from 0.2 (B0) to 0.5 (B7).
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`: 0.2 in the paper's code; blocks
        that add nothing are never dropped.
      stem_stride: of the first convolution; 1 for small images, such as CIFAR's.
      strides: of the first block of each stage.
      epsilon: of the batch norms; 1e-3 in the paper's code, and in torchvision from B5 on.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty; strides are not one of each stage.

    >>> from jnn.param import abstract
    >>> spec = efficientnet_spec(10, stages=((3, 1, 8, 1), (5, 6, 16, 2)))
    >>> p, images = abstract(spec), jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: efficientnet(p, x, key=None, strides=(1, 2))[0], p, images).shape
    (8, 10)
    """
    return staged_network(
        "efficientnet",
        p,
        x,
        stats,
        key=key,
        rate=rate,
        drop_path=drop_path,
        stem_stride=stem_stride,
        strides=strides,
        activation=jax.nn.silu,
        epsilon=epsilon,
        weight=weight,
    )
