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

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import batch_norm, conv, depthwise_conv, dropout, global_avg_pool, linear, linear_spec
from jnn.models._conv_norm import Stats, conv_norm_spec
from jnn.models._inverted_residual import inverted_residual, inverted_residual_spec, rounded
from jnn.models._residual_stages import through_stages
from jnn.param import Params, Spec, check_key, path_key, stack

# the kernel of a stage's blocks, by how much they widen, how many channels come out, how many blocks there are
STAGES = ((3, 1, 16, 1), (3, 6, 24, 2), (5, 6, 40, 2), (3, 6, 80, 3), (5, 6, 112, 3), (5, 6, 192, 4), (3, 6, 320, 1))
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EFFICIENTNET_LITES: dict[str, dict[str, float]] = {  # factors for `efficientnet_lite_spec`
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
    """Declares an EfficientNet-Lite; the factors of published ones are in `EFFICIENTNET_LITES`.

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

    >>> efficientnet_lite_spec(1000)["stage3"]["rest"]["depthwise"]["conv"]["w"].shape
    (1, 5, 5, 1, 240)
    """

    spec: Spec = {"stem": conv_norm_spec(channels, stem, dtype=dtype)}
    c = stem
    for i, (kernel, widen, c_out, blocks) in enumerate(stages, 1):
        before, c = c, rounded(c_out * width)
        n = blocks if i in (1, len(stages)) else math.ceil(blocks * depth)
        rest = {"rest": stack(inverted_residual_spec(c, c, kernel, widen, dtype), n - 1)} if n > 1 else {}
        spec[f"stage{i}"] = {"first": inverted_residual_spec(before, c, kernel, widen, dtype)} | rest
    spec["last"] = conv_norm_spec(c, last, 1, dtype=dtype)
    return spec | {"out": linear_spec(last, classes, axes=("channels", "classes"), dtype=dtype)}


def efficientnet_lite(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    strides: Sequence[int] = STRIDES,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """EfficientNet-Lite: blocks (MBConv) `x + project(depthwise(expand(x)))`, without gates and with ReLU6.

    See "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan and Le, 2019; as for phones in
    "Higher accuracy on vision models with EfficientNet-Lite", Liu, 2020. Published weights expect pixels `(x - 127) /
    128`. No block is dropped (stochastic depth).

    Args:
      p: as `efficientnet_lite_spec` declares.
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
    >>> p, images = abstract(efficientnet_lite_spec(1000)), jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: efficientnet_lite(p, x, key=None)[0], p, images).shape
    (8, 1000)
    """
    checks.params("efficientnet_lite", p, "stem", "stage1", "last", "out")
    checks.floats("efficientnet_lite", x, ndim=3)
    check_key("efficientnet_lite", key, optional=True)
    if len(strides) != (stages := sum(name.startswith("stage") for name in p)):
        raise ValueError(f"efficientnet_lite: expected a stride of each of {stages} stages, found {tuple(strides)}.")
    h, first = _unit(gather(p["stem"], "stem"), x, stats and stats["stem"], stride=2, weight=weight)
    h, seen = through_stages(
        p, jax.nn.relu6(h), stats, inverted_residual, None, strides=strides, weight=weight, unit=_unit
    )
    h, last = _unit(gather(p["last"], "last"), h, stats and stats["last"], weight=weight)
    h = global_avg_pool(constrain(jax.nn.relu6(h), "y", "x", "channels"))
    h = dropout(h, rate, key=None if key is None else path_key(key, "out"))
    return linear(gather(p["out"], "out"), h), {"stem": first, **seen, "last": last}


def _unit(
    p: Params, x: jax.Array, stats: Stats | None, *, stride: int = 1, weight: jax.Array | None = None
) -> tuple[jax.Array, Stats]:
    """`conv_norm` with the padding and the epsilon of TensorFlow."""
    checks.map_parts("efficientnet_lite", p, "conv")
    depthwise = p["conv"]["w"].shape[-2] == 1 < x.shape[-1]
    h = (depthwise_conv if depthwise else conv)(p["conv"], x, stride=stride)
    h, seen = batch_norm(p["norm"], h, stats and stats["norm"], weight=weight, epsilon=EPSILON)
    return h, {"norm": seen}
