"""Inception-ResNet-v2: inception modules whose maps are added to what they read.

A stage is a module, and residual ones behind it, stacked and scanned. Padding is that of TensorFlow: none in the stem
and where it strides. Laws: as in `_resnet`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import identity
from jnn.axes import constrain, gather
from jnn.layers import linear, linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._inception import (
    EPSILON,
    STEM,
    Branch,
    Mixed,
    branches,
    branches_spec,
    inception_stem,
    inception_stem_spec,
    mixed,
    mixed_spec,
)
from jnn.models._residual_stages import head, repeated, stage_names
from jnn.param import Params, Spec, check_key, stack

Stage = tuple[Mixed, tuple[Branch, ...], int]  # its module, the branches of its residual ones, how many there are
STAGES: tuple[Stage, ...] = (
    (
        ((((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))), 64),
        (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
        10,
    ),
    (
        ((((384, 3),), ((256, 1), (256, 3), (384, 3))), 0),
        (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
        20,
    ),
    (
        ((((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3))), 0),
        (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
        9,
    ),
)
SCALES = (0.17, 0.1, 0.2)


def inception_resnet_v2_spec(
    classes: int,
    *,
    stages: Sequence[Stage] = STAGES,
    stem: Sequence[int] = STEM,
    last: int = 1536,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an Inception-ResNet-v2.

    Args:
      classes: how many logits.
      stages: of each, a module as in `inception_v3_spec`, the branches of its residual modules, and how many of them
        there are.
      stem: channels of the five convolutions before the stages.
      last: channels of the convolution before the logits.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"unit1", ...}, "stage1": {"first": module, "rest": stacked residual modules}, ..., "end": a residual
      module, "last": {"conv", "norm"}, "out"}, where a residual module is {"branch1": {"unit1", ...}, ..., "up"}

    >>> inception_resnet_v2_spec(1000)["stage2"]["rest"]["up"]["w"].shape
    (20, 384, 1088)
    """
    spec: Spec = {"stem": inception_stem_spec(channels, stem, dtype)}
    c, end = stem[-1], {}
    for i, (module, residual, n) in enumerate(stages, 1):
        first, c = mixed_spec(c, module, dtype)
        each, total = branches_spec(c, residual, dtype)
        end = each | {"up": linear_spec(total, c, axes=("channels_in", "channels_out"), dtype=dtype)}
        spec[f"stage{i}"] = {"first": first, "rest": stack(end, n)}
    return spec | {
        "end": end,
        "last": conv_norm_spec(c, last, 1, dtype=dtype),
        "out": linear_spec(last, classes, axes=("channels", "classes"), dtype=dtype),
    }


def inception_resnet_v2(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    scales: Sequence[float] = SCALES,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Inception-ResNet-v2: modules `relu(x + scale * up(branches(x)))`, behind one that is not residual in each stage.

    See "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", Szegedy et al., 2017; as
    in its code: the stem is that of Inception-v3, and the last residual module has scale 1 and no ReLU.

    Args:
      p: as `inception_resnet_v2_spec` declares.
      x: (..., y, x, c), floating point; the paper's are of 299 x 299.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout before the logits.
      scales: of what is added, of each stage.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, is empty, or too small for its stages: less
        than 75 x 75 for the published ones; scales are not one of each stage.

    >>> from jnn.param import abstract
    >>> p = abstract(inception_resnet_v2_spec(10, stages=[(((((4, 1),),), 2), (((4, 1), (4, 3)),), 2)], last=8))
    >>> images = jax.ShapeDtypeStruct((8, 75, 75, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: inception_resnet_v2(p, x, key=None, scales=[0.2])[0], p, images).shape
    (8, 10)
    """
    checks.params("inception_resnet_v2", p, "stem", "stage1", "end", "last", "out")
    checks.floats("inception_resnet_v2", x, ndim=3)
    check_key("inception_resnet_v2", key, optional=True)
    if len(scales) != (stages := len(stage_names(p))):
        raise ValueError(f"inception_resnet_v2: expected a scale of each of {stages} stages, found {tuple(scales)}.")
    seen: Stats = {}
    x, seen["stem"] = inception_stem(gather(p["stem"], "stem"), x, stats and stats["stem"], weight)
    for i, scale in enumerate(scales, 1):
        name = f"stage{i}"
        residual = partial(_residual, scale=scale, activation=jax.nn.relu, weight=weight)
        x, seen[name] = _stage(name, p[name], x, stats and stats[name], residual, weight)
    x, seen["end"] = _residual(gather(p["end"], "end"), x, stats and stats["end"], None, weight=weight)
    last = gather(p["last"], "last")
    x, seen["last"] = conv_norm(last, x, stats and stats["last"], epsilon=EPSILON, weight=weight)
    return head(p, jax.nn.relu(x), rate, key), seen


def _stage(
    name: str,
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    residual: Callable[..., tuple[jax.Array, Stats]],
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    x, first = mixed(gather(p["first"], f"{name}/first"), x, stats and stats["first"], weight)
    x = constrain(x, "y", "x", "channels")
    x, rest = repeated(residual, f"{name}/rest", p["rest"], x, stats and stats["rest"], None)
    return x, {"first": first, "rest": rest}


def _residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: None,
    *,
    scale: float = 1.0,
    activation: Callable[[jax.Array], jax.Array] = identity,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    h, seen = branches(p, x, stats, weight)
    return activation(x + scale * linear(p["up"], h)), seen
