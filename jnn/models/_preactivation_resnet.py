"""Residual networks with norm and activation before each convolution (ResNet v2), wide residual networks.

Stages, stems and blocks are those of `_resnet`. Laws: given the statistics that a batch had, the output is the same,
whatever else is in the batch; without a shortcut of its own, a block passes x on as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import batch_norm, batch_norm_spec, conv_spec, dropout, linear_spec
from jnn.models._conv_norm import Stats, padded_conv
from jnn.models._residual_stages import (
    added,
    block_sizes,
    head,
    pooled_stem,
    stages_spec,
    stem_stride,
    strided_unit,
    through_stages,
)
from jnn.param import Params, Spec, check_key, path_key


def preactivation_resnet_spec(
    depths: Sequence[int],
    widths: Sequence[int],
    classes: int,
    *,
    bottleneck: int | None = None,
    stem: int = 16,
    kernel: int = 3,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a residual network with norm and activation before each convolution.

    A WRN-28-10 of "Wide Residual Networks", Zagoruyko and Komodakis, 2016, has depths (4, 4, 4) and widths
    (160, 320, 640).

    Args:
      depths, widths, classes, bottleneck, stem, kernel, channels, dtype: as in `resnet_spec`.

    Returns:
      {"stem": {"w"}, "stage1": {"first": block, "rest": stacked blocks}, ..., "norm", "out"}, where a block is
      {"unit1": {"norm", "conv"}, "unit2": ..., "shortcut": {"w"} where it widens or strides}.

    Raises:
      ValueError: depths and widths are not one of each stage.

    >>> spec = preactivation_resnet_spec((4, 4, 4), (160, 320, 640), 10)
    >>> spec["stage3"]["first"]["shortcut"]["w"].shape
    (1, 1, 320, 640)
    """

    def block(c_in: int, c_out: int, stride: int) -> Spec:
        units = {
            f"unit{i}": {
                "norm": batch_norm_spec(a, dtype=dtype),
                "conv": conv_spec(a, b, (k, k), bias=False, dtype=dtype),
            }
            for i, (a, b, k) in enumerate(block_sizes(c_in, c_out, bottleneck), 1)
        }
        shortcut = {"shortcut": conv_spec(c_in, c_out, (1, 1), bias=False, dtype=dtype)}
        return units | (shortcut if stride > 1 or c_in != c_out else {})

    return {
        "stem": conv_spec(channels, stem, (kernel, kernel), bias=False, dtype=dtype),
        **stages_spec("preactivation_resnet_spec", block, depths, (stem, *widths)),
        "norm": batch_norm_spec(widths[-1], dtype=dtype),
        "out": linear_spec(widths[-1], classes, axes=("channels", "classes"), dtype=dtype),
    }


def preactivation_resnet(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    drop_path: float = 0.0,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Pre-activation residual network (ResNet v2, wide ResNet): blocks `shortcut(x) + convolutions(relu(norm(x)))`.

    See "Identity Mappings in Deep Residual Networks", He et al., 2016. A shortcut that widens or strides reads the
    first activation, any other x itself.

    Args:
      p: as `preactivation_resnet_spec` declares.
      x, stats, weight: as in `resnet`.
      key: noise for dropout and stochastic depth, None for none.
      rate: of dropout before the last convolution of each block.
      drop_path: of stochastic depth, as in `resnet`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      As `resnet`.

    >>> from jnn.param import abstract
    >>> p = abstract(preactivation_resnet_spec((4, 4, 4), (160, 320, 640), 10))
    >>> images = jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: preactivation_resnet(p, x, key=None)[0], p, images).shape
    (8, 10)
    """
    checks.params("preactivation_resnet", p, "stem", "stage1", "norm")
    checks.floats("preactivation_resnet", x, ndim=3)
    check_key("preactivation_resnet", key, optional=True)
    stem = {"conv": gather(p["stem"], "stem")}
    h = pooled_stem(stem, padded_conv(stem["conv"], x, stride=stem_stride(stem)))
    h, seen = through_stages(p, h, stats, _preactivation, key, drop_path=drop_path, weight=weight, rate=rate)
    h, last = batch_norm(gather(p["norm"], "norm"), h, stats and stats["norm"], weight=weight)
    return head(p, jax.nn.relu(h)), {**seen, "norm": last}


def _preactivation(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: jax.Array | None,
    *,
    stride: int,
    weight: jax.Array | None,
    rate: float,
    drop_path: float = 0.0,
) -> tuple[jax.Array, Stats]:
    units = sorted(p.keys() - {"shortcut"})
    h, seen = x, {}
    for name in units:
        h, told = batch_norm(p[name]["norm"], h, stats and stats[name]["norm"], weight=weight)
        h, seen[name] = jax.nn.relu(h), {"norm": told}
        if name == units[0] and "shortcut" in p:
            x = padded_conv(p["shortcut"], h, stride=stride)
        h = dropout(h, rate, key=key) if name == units[-1] else h
        h = padded_conv(p[name]["conv"], h, stride=stride if name == strided_unit(p, units) else 1)
    own = None if key is None else path_key(key, "drop_path")
    return (x + h if "shortcut" in p else added(x, h, drop_path, own)), seen
