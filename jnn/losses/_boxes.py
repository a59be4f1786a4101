"""Losses of predicted boxes, one number per box, whatever its size: 1 minus an intersection over union (IoU).

    iou_loss            no gradient where boxes do not meet
    giou_loss           plus the share of the box around both that neither fills
    diou_loss           plus the distance of the centres
    ciou_loss           plus that, and the difference of aspect ratios

Boxes are (..., 4): x0, y0, x1, y1 with x0 <= x1 and y0 <= y1 (`jnn.boxes`). A prediction whose corners are in the wrong
order is an empty box; such a target is an error, and under `jit` costs NaN, without a gradient. Float32 at least;
values and gradients are finite for boxes without area, and for coordinates up to 1e18, whose squares float32 holds.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.boxes import box_overlap, checked_boxes, ordered


def iou_loss(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """IoU loss: 1 minus the intersection over union of two boxes.

    See "UnitBox: An Advanced Object Detection Network", Yu et al., 2016, which takes the logarithm.

    Args:
      predictions: (..., 4), floating point: corners x0, y0, x1, y1. Of centre, width and height make them by
        `jnn.boxes.corners_of_centers`: a box with x1 < x0 is taken for an empty one.
      targets: the same shape, with x0 <= x1 and y0 <= y1.

    Returns:
      (...): in [0, 1].

    Raises:
      TypeError: boxes are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are not of four; targets known to have x1 < x0 or y1 < y0.

    >>> iou_loss(jnp.array([[0.0, 0.0, 2.0, 2.0]]), jnp.array([[0.0, 0.0, 2.0, 1.0]]))
    Array([0.5], dtype=float32)
    """
    predictions, targets, known = _boxes("iou_loss", predictions, targets)
    return jnp.where(known, 1 - _ratio(*box_overlap(predictions, targets)), jnp.nan)


def giou_loss(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Generalized IoU loss: has a gradient where boxes do not meet.

    See "Generalized Intersection over Union: A Metric and A Loss for Bounding Box Regression", Rezatofighi et al.,
    2019.

    Args:
      predictions, targets: as for `iou_loss`.

    Returns:
      (...): in [0, 2].

    Raises:
      TypeError, ValueError: as `iou_loss` does.

    >>> giou_loss(jnp.array([[0.0, 0.0, 1.0, 1.0]]), jnp.array([[1.0, 0.0, 2.0, 1.0]]))
    Array([1.], dtype=float32)
    """
    predictions, targets, known = _boxes("giou_loss", predictions, targets)
    both, union = box_overlap(predictions, targets)
    sides = _around(predictions, targets)
    hull = sides[..., 0] * sides[..., 1]
    return jnp.where(known, 1 - _ratio(both, union) + _ratio(hull - union, hull), jnp.nan)


def diou_loss(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Distance IoU loss: adds the squared distance of the centres, relative to the box around both.

    See "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", Zheng et al., 2020.

    Args:
      predictions, targets: as for `iou_loss`.

    Returns:
      (...): in [0, 2].

    Raises:
      TypeError, ValueError: as `iou_loss` does.

    >>> diou_loss(jnp.array([[0.0, 0.0, 1.0, 1.0]]), jnp.array([[1.0, 0.0, 2.0, 1.0]])).round(6)
    Array([1.2], dtype=float32)
    """
    predictions, targets, known = _boxes("diou_loss", predictions, targets)
    iou = _ratio(*box_overlap(predictions, targets))
    return jnp.where(known, 1 - iou + _distance(predictions, targets), jnp.nan)


def ciou_loss(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Complete IoU loss: adds to the distance of the centres how much the aspect ratios differ.

    See "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression", Zheng et al., 2020.

    Args:
      predictions, targets: as for `iou_loss`.

    Returns:
      (...): in [0, 3]. The weight of the aspect ratios, v / (1 - iou + v), is a constant to the gradient.

    Raises:
      TypeError, ValueError: as `iou_loss` does.

    >>> ciou_loss(jnp.array([[0.0, 0.0, 1.0, 1.0]]), jnp.array([[1.0, 0.0, 2.0, 1.0]])).round(6)
    Array([1.2], dtype=float32)
    """
    predictions, targets, known = _boxes("ciou_loss", predictions, targets)
    iou = _ratio(*box_overlap(predictions, targets))
    v = (2 / math.pi * (_slant(targets) - _slant(predictions))) ** 2
    alpha = jax.lax.stop_gradient(_ratio(v, 1 - iou + v))
    return jnp.where(known, 1 - iou + _distance(predictions, targets) + alpha * v, jnp.nan)


def _boxes(name: str, predictions: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Both, and which targets are boxes; a network that is being trained may predict what is none."""
    predictions, targets = checked_boxes(name, predictions), checked_boxes(name, targets)
    checks.same_shape(name, predictions=predictions, targets=targets)
    return predictions, targets, ordered(name, "targets", targets)


def _ratio(part: jax.Array, whole: jax.Array) -> jax.Array:
    """part / whole, 0 of nothing, and of what has no inverse."""
    some = whole > jnp.finfo(whole.dtype).tiny
    whole = jnp.where(some, whole, 1.0)
    inverse = jax.lax.stop_gradient(1 / whole)  # both times it: of small boxes the gradient's square would overflow
    return jnp.where(some, (part * inverse) / (whole * inverse), 0.0)


def _around(a: jax.Array, b: jax.Array) -> jax.Array:
    """Width and height of the smallest box that holds both."""
    return jax.nn.relu(jnp.maximum(a[..., 2:], b[..., 2:]) - jnp.minimum(a[..., :2], b[..., :2]))


def _distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """Squared distance of the centres, relative to the diagonal of the box around both."""
    center = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    square = lambda x: jnp.sum(jnp.square(x), axis=-1)
    return _ratio(square(center), square(_around(a, b)))


def _slant(boxes: jax.Array) -> jax.Array:
    """The angle of the diagonal, atan(width / height); that of a square where a box has no extent."""
    sides = jax.nn.relu(boxes[..., 2:] - boxes[..., :2])
    point = jnp.max(sides, axis=-1) <= jnp.finfo(sides.dtype).tiny
    scale = jax.lax.stop_gradient(jnp.max(sides, axis=-1))  # the squares of small sides would be 0
    width, height = (jnp.where(point, 1.0, sides[..., i] / jnp.where(point, 1.0, scale)) for i in range(2))
    return jnp.arctan2(width, height)
