"""Codes of boxes: what a detector predicts at a point or of an anchor, from corners and back.

Laws: each way back is the other's inverse; codes of boxes without an area are finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.boxes._geometry import centers_of_corners, checked_boxes, corners_of_centers
from jnn.precision import wide

LARGEST_FACTOR = 1000 / 16  # of a side over its anchor's, as in Faster R-CNN's published code


def distances_of_corners(points: jax.Array, boxes: jax.Array) -> jax.Array:
    """Distances of a point to the left, top, right and bottom of a box, as FCOS predicts: negative where it is outside.

    See "FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., 2019.

    Args:
      points: (..., 2), floating point: x, y.
      boxes: (..., 4): corners, of the same rank; axes of size 1 broadcast.

    Returns:
      (..., 4): left, top, right, bottom.

    Raises:
      TypeError: they are not floating point.
      ValueError: the last axes are not of two and of four.

    >>> distances_of_corners(jnp.array([2.0, 1.0]), jnp.array([0.0, 0.0, 5.0, 3.0]))
    Array([2., 1., 3., 2.], dtype=float32)
    """
    points, boxes = checked_points("distances_of_corners", points), checked_boxes("distances_of_corners", boxes)
    return jnp.concatenate([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def corners_of_distances(points: jax.Array, distances: jax.Array) -> jax.Array:
    """Corners of boxes that are given by distances of a point to their sides: the inverse of `distances_of_corners`.

    Args:
      points: (..., 2), floating point: x, y.
      distances: (..., 4): left, top, right, bottom, of the same rank; axes of size 1 broadcast.

    Returns:
      (..., 4): corners.

    Raises:
      TypeError, ValueError: as `distances_of_corners` does.

    >>> corners_of_distances(jnp.array([2.0, 1.0]), jnp.array([2.0, 1.0, 3.0, 2.0]))
    Array([0., 0., 5., 3.], dtype=float32)
    """
    points, distances = checked_points("corners_of_distances", points), checked_boxes("corners_of_distances", distances)
    return jnp.concatenate([points - distances[..., :2], points + distances[..., 2:]], -1)


def centerness(distances: jax.Array) -> jax.Array:
    """Center-ness of a point in its box: 1 in the middle, 0 at the sides and outside.

    See "FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., 2019.

    Args:
      distances: (..., 4), floating point: as of `distances_of_corners`.

    Returns:
      (...): the square root of `min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)`.

    Raises:
      TypeError, ValueError: as `distances_of_corners` does.

    >>> centerness(jnp.array([[2.0, 1.0, 2.0, 1.0], [1.0, 1.0, 4.0, 1.0], [-1.0, 1.0, 4.0, 1.0]]))
    Array([1. , 0.5, 0. ], dtype=float32)
    """
    distances = checked_boxes("centerness", distances)
    low, high = distances[..., :2], distances[..., 2:]
    inside = (distances > 0).all(-1)
    ratio = jnp.minimum(low, high) / jnp.where(inside[..., None], jnp.maximum(low, high), 1.0)
    return jnp.where(inside, jnp.sqrt(jnp.where(inside, ratio[..., 0] * ratio[..., 1], 1.0)), 0.0)


def deltas_of_corners(anchors: jax.Array, boxes: jax.Array, *, scale: Sequence[float] = (1, 1, 1, 1)) -> jax.Array:
    """Deltas of boxes from their anchors, as Faster R-CNN predicts: the move of the centre, and logarithms of sizes.

    See "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", Ren et al., 2015.

    Args:
      anchors: (..., 4), floating point: corners of boxes that have an area.
      boxes: (..., 4), of the same rank; axes of size 1 broadcast.
      scale: what the four are multiplied by: (10, 10, 5, 5) in Fast R-CNN's heads.

    Returns:
      (..., 4): dx and dy over the anchor's sides, log of width over width and height over height.

    Raises:
      TypeError: they are not floating point.
      ValueError: the last axes are not of four.

    >>> deltas_of_corners(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 0.0, 3.0, 2.0]))
    Array([0.5, 0. , 0. , 0. ], dtype=float32)
    """
    anchors, boxes = (centers_of_corners(checked_boxes("deltas_of_corners", x)) for x in (anchors, boxes))
    sides = lambda x: jnp.maximum(x[..., 2:], jnp.finfo(x.dtype).tiny)
    move = (boxes[..., :2] - anchors[..., :2]) / sides(anchors)
    growth = jnp.log(sides(boxes)) - jnp.log(sides(anchors))
    return jnp.concatenate([move, growth], -1) * _four(scale, move)


def corners_of_deltas(anchors: jax.Array, deltas: jax.Array, *, scale: Sequence[float] = (1, 1, 1, 1)) -> jax.Array:
    """Corners of boxes that are given by deltas from their anchors: the inverse of `deltas_of_corners`.

    Args:
      anchors: (..., 4), floating point: corners.
      deltas: (..., 4), of the same rank; axes of size 1 broadcast. No side grows by more than 1000 / 16 times.
      scale: as for `deltas_of_corners`.

    Returns:
      (..., 4): corners.

    Raises:
      TypeError, ValueError: as `deltas_of_corners` does.

    >>> corners_of_deltas(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([0.5, 0.0, 0.0, 0.0]))
    Array([1., 0., 3., 2.], dtype=float32)
    """
    anchors = centers_of_corners(checked_boxes("corners_of_deltas", anchors))
    deltas = checked_boxes("corners_of_deltas", deltas)
    deltas = deltas / _four(scale, deltas)
    center = anchors[..., :2] + deltas[..., :2] * anchors[..., 2:]
    sides = anchors[..., 2:] * jnp.exp(jnp.minimum(deltas[..., 2:], math.log(LARGEST_FACTOR)))
    return corners_of_centers(jnp.concatenate([center, sides], -1))


def _four(scale: Sequence[float], like: jax.Array) -> jax.Array:
    """One factor for each of four numbers, of a rank with these."""
    return jnp.asarray(scale, like.dtype).reshape((1,) * (like.ndim - 1) + (4,))


def checked_points(name: str, points: jax.Array) -> jax.Array:
    """Points in float32 at least.

    Raises:
      TypeError: they are not floating point.
      ValueError: the last axis is not of two.
    """
    checks.floats(name, points)
    if points.shape[-1] != 2:
        raise ValueError(f"{name}: expected points [...,2] of x, y, found {checks.describe(points)}.")
    return wide(points)
