"""MobileNet, the first: depthwise convolutions, each with a 1x1 convolution behind it, and nothing else.

Stages are those of `_residual_stages`: blocks that repeat are stacked and scanned. Padding is "SAME", which is not
symmetric where a convolution strides, as in TensorFlow. Laws: as in `_resnet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._inverted_network import staged_network
from jnn.models._inverted_residual import Activation
from jnn.param import Params, Spec, stack

STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))  # how many channels come out, how many blocks there are
STRIDES = (1, 2, 2, 2, 2)
EPSILON = 1e-3


def mobilenet_spec(
    classes: int,
    *,
    stages: Sequence[tuple[int, int]] = STAGES,
    stem: int = 32,
    multiplier: float = 1.0,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a MobileNet (v1).

    Args:
      classes: how many logits.
      stages: of each, how many channels come out, and how many blocks there are.
      stem: channels of the first convolution.
      multiplier: of all channels, rounded down; 1, 0.75, 0.5 and 0.25 in the paper.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "out"}, where a block is
      {"depthwise", "pointwise"}, each {"conv", "norm"}

    Raises:
      ValueError: the multiplier leaves no channel somewhere.

    >>> mobilenet_spec(1000)["stage4"]["rest"]["depthwise"]["conv"]["w"].shape
    (5, 3, 3, 1, 512)
    """

    def block(c_in: int, c_out: int) -> Spec:
        return {
            "depthwise": conv_norm_spec(c_in, c_in, groups=c_in, dtype=dtype),
            "pointwise": conv_norm_spec(c_in, c_out, 1, dtype=dtype),
        }

    narrowest = min(stem, *(width for width, _ in stages))
    fits = lambda m: (m * narrowest >= 1) & (m < math.inf)
    wanted = f"of 1/{narrowest} or more, so that each layer keeps a channel"
    multiplier = checks.number("mobilenet_spec", "multiplier", multiplier, fits, wanted, like=jnp.zeros(()))
    c = int(stem * multiplier)
    spec: Spec = {"stem": conv_norm_spec(channels, c, dtype=dtype)}
    for i, (width, n) in enumerate(stages, 1):
        wide = int(width * multiplier)
        rest = {"rest": stack(block(wide, wide), n - 1)} if n > 1 else {}
        spec[f"stage{i}"] = {"first": block(c, wide)} | rest
        c = wide
    return spec | {"out": linear_spec(c, classes, axes=("channels", "classes"), dtype=dtype)}


def mobilenet(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 1e-3,
    stem_stride: int = 2,
    strides: Sequence[int] = STRIDES,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """MobileNet (v1): blocks `pointwise(depthwise(x))` with ReLU6, without residual connections.

    See "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", Howard et al., 2017.

    Args:
      p: as `mobilenet_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout before the logits.
      stem_stride: of the first convolution; 1 for small images, such as CIFAR's.
      strides: of the first block of each stage.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty; strides are not one of each stage.

    >>> from jnn.param import abstract
    >>> p = abstract(mobilenet_spec(10, stages=((8, 1), (16, 2)), stem=8))
    >>> images = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: mobilenet(p, x, key=None, strides=(1, 2))[0], p, images).shape
    (8, 10)
    """
    return staged_network(
        "mobilenet",
        p,
        x,
        stats,
        key=key,
        rate=rate,
        stem_stride=stem_stride,
        strides=strides,
        activation=jax.nn.relu6,
        block=_separable,
        padding="SAME",
        epsilon=EPSILON,
        weight=weight,
    )


def _separable(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: jax.Array | None,
    *,
    stride: int,
    activation: Activation,
    drop_path: float = 0.0,
    **how: Any,
) -> tuple[jax.Array, Stats]:
    """A block without noise: it has no residual branch to drop."""
    h, deep = conv_norm(p["depthwise"], x, stats and stats["depthwise"], stride=stride, grouped=True, **how)
    h, point = conv_norm(p["pointwise"], activation(h), stats and stats["pointwise"], **how)
    return activation(h), {"depthwise": deep, "pointwise": point}
