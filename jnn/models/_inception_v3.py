"""Inception-v3: convolutions of several sizes side by side, large ones in steps of a row and a column.

Modules are unlike each other: none is stacked. Padding is that of TensorFlow: none in the stem and where it strides.
Laws: as in `_resnet`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import linear_spec
from jnn.models._conv_norm import Stats
from jnn.models._inception import STEM, Mixed, inception_stem, inception_stem_spec, mixed, mixed_spec
from jnn.models._residual_stages import head
from jnn.param import Params, Spec, check_key


def _small(pooled: int) -> Mixed:
    """1x1, 5x5 and twice 3x3."""
    return (((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))), pooled


def _factorized(narrow: int) -> Mixed:
    """1x1, 7x7 in two steps, and twice 7x7 in four."""
    row, column = (1, 7), (7, 1)
    once = (narrow, 1), (narrow, row), (192, column)
    twice = (narrow, 1), (narrow, column), (narrow, row), (narrow, column), (192, row)
    return (((192, 1),), once, twice), 192


WIDE: Mixed = ((((320, 1),), ((384, 1), (384, "cross")), ((448, 1), (384, 3), (384, "cross"))), 192)
HALVES: tuple[Mixed, Mixed] = (
    ((((384, 3),), ((64, 1), (96, 3), (96, 3))), 0),
    ((((192, 1), (320, 3)), ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3))), 0),
)
MODULES: tuple[Mixed, ...] = (
    *(_small(pooled) for pooled in (32, 64, 64)),
    HALVES[0],
    *(_factorized(narrow) for narrow in (128, 160, 160, 192)),
    HALVES[1],
    *(WIDE, WIDE),
)


def inception_v3_spec(
    classes: int,
    *,
    modules: Sequence[Mixed] = MODULES,
    stem: Sequence[int] = STEM,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an Inception-v3.

    Args:
      classes: how many logits.
      modules: of each, its branches, which are the channels and the kernel of each of their convolutions ("cross" for
        1x3 and 3x1 side by side), and the channels of the convolution behind its average, 0 where it halves the image.
      stem: channels of the five convolutions before the modules.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"unit1", ...}, "mixed1": {"branch1": {"unit1", ...}, ..., "pool": {"unit1"} where it does not halve},
      ..., "out"}, where a unit is {"conv", "norm"}, or {"across", "down"} of two such

    >>> inception_v3_spec(1000)["mixed5"]["branch2"]["unit2"]["conv"]["w"].shape
    (1, 7, 128, 128)
    """
    spec: Spec = {"stem": inception_stem_spec(channels, stem, dtype)}
    c = stem[-1]
    for i, module in enumerate(modules, 1):
        spec[f"mixed{i}"], c = mixed_spec(c, module, dtype)
    return spec | {"out": linear_spec(c, classes, axes=("channels", "classes"), dtype=dtype)}


def inception_v3(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.2,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Inception-v3: modules of convolutions of several sizes side by side, whose maps are joined.

    See "Rethinking the Inception Architecture for Computer Vision", Szegedy et al., 2016. Without the auxiliary
    classifier, which is used in training alone. An average leaves out what is padded (torchvision's counts it).

    Args:
      p: as `inception_v3_spec` declares.
      x: (..., y, x, c), floating point; the paper's are of 299 x 299.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout before the logits.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, is empty, or too small for its modules:
        less than 75 x 75 for the published ones.

    >>> from jnn.param import abstract
    >>> p = abstract(inception_v3_spec(10, modules=(((((4, 1),), ((4, 3),)), 2), ((((4, 3),),), 0))))
    >>> images = jax.ShapeDtypeStruct((8, 75, 75, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: inception_v3(p, x, key=None)[0], p, images).shape
    (8, 10)
    """
    checks.params("inception_v3", p, "stem", "mixed1", "out")
    checks.floats("inception_v3", x, ndim=3)
    check_key("inception_v3", key, optional=True)
    seen: Stats = {}
    x, seen["stem"] = inception_stem(gather(p["stem"], "stem"), x, stats and stats["stem"], weight)
    for i in range(1, 1 + sum(name.startswith("mixed") for name in p)):
        name = f"mixed{i}"
        x, seen[name] = mixed(gather(p[name], name), constrain(x, "y", "x", "channels"), stats and stats[name], weight)
    return head(p, x, rate, key), seen
