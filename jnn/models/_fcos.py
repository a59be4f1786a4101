"""FCOS's head: what a detector without anchors says at every point of a feature pyramid.

    maps = feature_pyramid(p["pyramid"], backbone(p["backbone"], x))
    logits, distances, centerness = fcos_head(p["head"], maps)

Points stand in the order of the maps, the first one's first, row by row: as `jnn.boxes.grid_points` gives them, map by
map. What they are to find is said by `jnn.boxes.assign_points`; boxes come back by `corners_of_distances`, of distances
times the stride of a point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, constant, he_normal, normal, ones
from jnn.layers import conv, conv_spec, group_norm, group_norm_spec
from jnn.param import Param, Params, Spec
from jnn.precision import wide


class PointPredictions(NamedTuple):
    """What is said at n points.

    logits: (..., n, classes), of independent classes.
    distances: (..., n, 4), positive: to the left, top, right and bottom of a box, in strides of the point's map.
    centerness: (..., n), a logit.
    """

    logits: jax.Array
    distances: jax.Array
    centerness: jax.Array


def fcos_head_spec(
    channels: int,
    classes: int,
    *,
    levels: int,
    depth: int = 4,
    prior: float = 0.01,
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a head of FCOS, which all maps of a pyramid share.

    Args:
      channels: of each map, and of the convolutions.
      classes: how many there are, without a background.
      levels: how many maps there are.
      depth: convolutions of either tower.
      prior: the probability of a class before any training, as in "Focal Loss for Dense Object Detection", Lin et al.,
        2017; in (0, 1).
      init: initial values of the towers' weights.
      dtype: of all parameters.

    Returns:
      {"classes": {"unit1": {"conv", "norm"}, ...}, "boxes": {...}, "logits": {"w", "b"}, "distances": ...,
      "centerness": ..., "scale": (levels,)}

    Raises:
      ValueError: a prior outside (0, 1).

    >>> fcos_head_spec(8, 3, levels=2, depth=1)["logits"]["w"].shape
    (3, 3, 8, 3)
    """
    if not 0 < prior < 1:
        raise ValueError(f"fcos_head_spec: expected a prior in (0, 1), found {prior}.")
    unit = {
        "conv": conv_spec(channels, channels, (3, 3), bias=False, init=init, dtype=dtype),
        "norm": group_norm_spec(channels, dtype=dtype),
    }
    tower = {f"unit{i + 1}": unit for i in range(depth)}
    out = lambda n: conv_spec(channels, n, (3, 3), axes=("channels_in", "outputs"), init=normal(0.01), dtype=dtype)
    logits = out(classes)
    bias = Param((classes,), constant(-math.log((1 - prior) / prior)), logits["b"].axes, dtype)
    return {
        "classes": tower,
        "boxes": tower,
        "logits": logits | {"b": bias},
        "distances": out(4),
        "centerness": out(1),
        "scale": Param((levels,), ones, ("levels",), dtype),
    }


def fcos_head(p: Params, maps: Sequence[jax.Array], *, groups: int = 32) -> PointPredictions:
    """Head of FCOS: classes, the sides of a box and how central it is, at every point of every map.

    See "FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., 2019; the center-ness is read from the
    tower of the boxes, as in its later version.

    Args:
      p: as `fcos_head_spec` declares.
      maps: (..., y, x, channels), floating point, of a pyramid.
      groups: of the towers' group norms.

    Returns:
      PointPredictions of the points of all maps, in the maps' dtype.

    Raises:
      TypeError: a map is not floating point.
      ValueError: as many maps as p has scales were expected, or one has other channels.

    >>> from jnn.param import abstract
    >>> p = abstract(fcos_head_spec(8, 3, levels=2, depth=1))
    >>> maps = [jax.ShapeDtypeStruct((1, n, n, 8), jnp.float32) for n in (4, 2)]
    >>> jax.eval_shape(lambda p, maps: fcos_head(p, maps, groups=4).logits, p, maps).shape
    (1, 20, 3)
    """
    checks.params("fcos_head", p, "classes", "boxes", "logits", "distances", "centerness", "scale")
    if len(maps) != len(p["scale"]):
        raise ValueError(f"fcos_head: expected {len(p['scale'])} maps, found {len(maps)}.")
    each = [_of_map(p, p["scale"][level], x, groups) for level, x in enumerate(maps)]
    logits, distances, centerness = (jnp.concatenate(parts, -2) for parts in zip(*each, strict=True))
    return PointPredictions(logits, distances, centerness[..., 0])


def _of_map(p: Params, scale: jax.Array, x: jax.Array, groups: int) -> tuple[jax.Array, ...]:
    """Of one map: logits, distances and center-ness, (..., y * x, outputs)."""
    checks.floats("fcos_head", x, ndim=3)
    classes, boxes = _tower(p["classes"], x, groups), _tower(p["boxes"], x, groups)
    distances = jnp.exp(wide(conv(p["distances"], boxes)) * scale).astype(x.dtype)
    found = conv(p["logits"], classes), distances, conv(p["centerness"], boxes)
    return tuple(y.reshape(*y.shape[:-3], -1, y.shape[-1]) for y in found)


def _tower(p: Params, x: jax.Array, groups: int) -> jax.Array:
    for i in range(len(p)):
        unit = p[f"unit{i + 1}"]
        x = jax.nn.relu(group_norm(unit["norm"], conv(unit["conv"], x), groups))
    return x
