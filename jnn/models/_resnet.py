"""Residual networks: ResNet (v1.5), wide ResNet with bottlenecks, ResNeXt. (Activation first: `_preactivation_resnet`.)

    resnet(p, x, stats, key=key) -> (logits, stats)
    resnet_maps(p, x, stats, key=key) -> (maps, stats)     of the whole network, or of some of its stages

What there is, is in the shapes: blocks of two 3x3 convolutions or of three with a narrow one in the middle, groups,
and the stem: 7x7 is ImageNet's, which strides and pools, 3x3 is that for small images.

Laws: given the statistics that a batch had, the output is the same, whatever else is in the batch; the maps of a
network are those that its last stages make of the maps of its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import Initializer, ones, zeros
from jnn.layers import linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._residual_stages import (
    added,
    block_sizes,
    check_stages,
    head,
    pooled_stem,
    stages_spec,
    stem_stride,
    strided_unit,
    through_stages,
)
from jnn.param import Params, Spec, check_key

NARROW, WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)
RESNETS: dict[str, dict[str, Any]] = {  # sizes for `resnet_spec`
    "resnet18": {"depths": (2, 2, 2, 2), "widths": NARROW},
    "resnet34": {"depths": (3, 4, 6, 3), "widths": NARROW},
    "resnet50": {"depths": (3, 4, 6, 3), "widths": WIDE, "bottleneck": 4},
    "resnet101": {"depths": (3, 4, 23, 3), "widths": WIDE, "bottleneck": 4},
    "resnet152": {"depths": (3, 8, 36, 3), "widths": WIDE, "bottleneck": 4},
    "resnext50_32x4d": {"depths": (3, 4, 6, 3), "widths": WIDE, "bottleneck": 2, "groups": 32},
    "wide_resnet50_2": {"depths": (3, 4, 6, 3), "widths": WIDE, "bottleneck": 2},
}
# torchvision's names of parameters and statistics, for `jnn.interop.torch.load_with_stats`
TORCHVISION_RESNET = {
    "stem/conv/*": "conv1.*",
    "stem/norm/*": "bn1.*",
    "stage*/first/shortcut/conv/*": "layer*.0.downsample.0.*",
    "stage*/first/shortcut/norm/*": "layer*.0.downsample.1.*",
    "stage*/first/unit*/conv/*": "layer*.0.conv*.*",
    "stage*/first/unit*/norm/*": "layer*.0.bn*.*",
    "stage*/rest/unit*/conv/*": "layer*.{i+1}.conv*.*",
    "stage*/rest/unit*/norm/*": "layer*.{i+1}.bn*.*",
    "out/*": "fc.*",
}


def resnet_spec(
    depths: Sequence[int],
    widths: Sequence[int],
    classes: int,
    *,
    bottleneck: int | None = None,
    groups: int = 1,
    stem: int = 64,
    kernel: int = 7,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a residual network; the sizes of published ones are in `RESNETS`.

    See "Accurate, Large Minibatch SGD", Goyal et al., 2017: the scale that ends a residual branch is 0 at first.

    Args:
      depths: how many blocks each stage has.
      widths: how many channels come out of each stage.
      classes: how many logits.
      bottleneck: by how much narrower the 3x3 convolution between two of 1x1 is; None for blocks of two of 3x3.
      groups: of the 3x3 convolutions.
      stem: channels of the first convolution.
      kernel: its size: 7 strides and pools, 3 does not.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "out": {"w", "b"}}, where a
      block is {"unit1": {"conv", "norm"}, "unit2": ..., "shortcut": {"conv", "norm"} where it widens or strides}.

    Raises:
      ValueError: depths and widths are not one of each stage.

    >>> spec = resnet_spec(**RESNETS["resnet50"], classes=1000)
    >>> spec["stage1"]["rest"]["unit2"]["conv"]["w"].shape
    (2, 3, 3, 64, 64)
    """

    def block(c_in: int, c_out: int, stride: int) -> Spec:
        sizes = block_sizes(c_in, c_out, bottleneck)
        scales: Sequence[Initializer] = [*[ones] * (len(sizes) - 1), zeros]
        units = {
            f"unit{i}": conv_norm_spec(a, b, k, groups=groups if k == 3 else 1, scale=scale, dtype=dtype)
            for i, ((a, b, k), scale) in enumerate(zip(sizes, scales, strict=True), 1)
        }
        shortcut = {"shortcut": conv_norm_spec(c_in, c_out, 1, dtype=dtype)}
        return units | (shortcut if stride > 1 or c_in != c_out else {})

    return {
        "stem": conv_norm_spec(channels, stem, kernel, dtype=dtype),
        **stages_spec("resnet_spec", block, depths, (stem, *widths)),
        "out": linear_spec(widths[-1], classes, axes=("channels", "classes"), dtype=dtype),
    }


def resnet(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Residual network (ResNet): blocks `relu(shortcut(x) + convolutions(x))`, then the mean over the image.

    See "Deep Residual Learning for Image Recognition", He et al., 2016; in a bottleneck the 3x3 convolution strides
    (v1.5). "Aggregated Residual Transformations for Deep Neural Networks" (ResNeXt), Xie et al., 2017, where the
    weights have groups.

    Args:
      p: as `resnet_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for stochastic depth, None for none.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`: blocks with a shortcut of their own,
        which widen or stride, are never dropped.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype, or features (..., widths[-1]) where p has no "out"; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty.

    >>> from jnn.param import abstract
    >>> p = abstract(resnet_spec(**RESNETS["resnet18"], classes=1000))
    >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: resnet(p, x, key=None)[0], p, images).shape
    (8, 1000)
    """
    checks.params("resnet", p, "stem", "stage1")
    h, seen = _maps("resnet", p, x, stats, key=key, drop_path=drop_path, weight=weight)
    return head(p, h), seen


def resnet_maps(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Feature maps of a residual network, what the mean and the logits are read from; or of a part of its stages.

    A backbone for what looks at places. And a network in two: the first stages once for every image, the last ones
    again and again, while they are fine-tuned.

    Args:
      p: some stages in a row, as `resnet_spec` declares them, with the stem iff p has "stem"; "out" is not read.
      x: images where p has the stem, else the maps of the stage before: (..., y, x, c), floating point.
      stats, key, weight: as in `resnet`; stats may hold more than p does.
      drop_path: of stochastic depth, in the last block that p has.

    Returns:
      (..., y / strides, x / strides, channels of the last stage), in x's dtype, not negative; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: p has no stage, x other channels than p was declared for, or no elements.

    >>> from jnn.param import abstract
    >>> p = abstract(resnet_spec(**RESNETS["resnet50"], classes=1000))
    >>> last = {"stage4": p.pop("stage4")}
    >>> part = lambda p, x: resnet_maps(p, x, key=None)[0]
    >>> maps = jax.eval_shape(part, p, jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32))
    >>> maps.shape, jax.eval_shape(part, last, maps).shape
    ((8, 14, 14, 1024), (8, 7, 7, 2048))
    """
    check_stages("resnet_maps", p)
    return _maps("resnet_maps", p, x, stats, key=key, drop_path=drop_path, weight=weight)


def _maps(
    where: str,
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    *,
    key: jax.Array | None,
    drop_path: float,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    checks.floats(where, x, ndim=3)
    check_key(where, key, optional=True)
    seen: Stats = {}
    if "stem" in p:
        stem = gather(p["stem"], "stem")
        x, seen["stem"] = conv_norm(stem, x, stats and stats["stem"], stride=stem_stride(stem), weight=weight)
        x = pooled_stem(stem, jax.nn.relu(x))
    x, of_stages = through_stages(p, x, stats, _residual, key, drop_path=drop_path, weight=weight)
    return x, {**seen, **of_stages}


def _residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: jax.Array | None,
    *,
    stride: int,
    weight: jax.Array | None,
    drop_path: float = 0.0,
) -> tuple[jax.Array, Stats]:
    units = sorted(p.keys() - {"shortcut"})
    h, seen = x, {}
    for name in units:
        here = stride if name == strided_unit(p, units) else 1
        h, seen[name] = conv_norm(p[name], h, stats and stats[name], stride=here, grouped=True, weight=weight)
        h = jax.nn.relu(h) if name != units[-1] else h
    if "shortcut" not in p:
        return jax.nn.relu(added(x, h, drop_path, key)), seen
    x, seen["shortcut"] = conv_norm(p["shortcut"], x, stats and stats["shortcut"], stride=stride, weight=weight)
    return jax.nn.relu(x + h), seen
