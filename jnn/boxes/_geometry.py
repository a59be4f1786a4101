"""Geometry of boxes: areas, overlaps, and the two ways to write a box down; checks that all of the room share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide


def box_area(boxes: jax.Array) -> jax.Array:
    """Area of boxes.

    Args:
      boxes: (..., 4), floating point: corners.

    Returns:
      (...): width times height.

    >>> box_area(jnp.array([[0.0, 0.0, 2.0, 3.0]]))
    Array([6.], dtype=float32)
    """
    boxes = checked_boxes("box_area", boxes)
    return _sides(boxes[..., :2], boxes[..., 2:])


def box_overlap(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Intersection and union of boxes, each with its partner.

    Args:
      a, b: (..., 4), floating point: corners, of one rank; axes of size 1 broadcast.

    Returns:
      Two areas (...).

    >>> box_overlap(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 3.0]))
    (Array(1., dtype=float32), Array(7., dtype=float32))
    """
    a, b = checked_boxes("box_overlap", a), checked_boxes("box_overlap", b)
    both = _sides(jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:]))
    return both, box_area(a) + box_area(b) - both


def box_iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """Intersection over union (Jaccard index) of all pairs of boxes.

    Args:
      a: (..., n, 4), floating point: corners.
      b: (..., m, 4).

    Returns:
      (..., n, m): in [0, 1]; 0 where both boxes have no area.

    >>> box_iou(jnp.array([[0.0, 0.0, 2.0, 2.0]]), jnp.array([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])).round(4)
    Array([[0.3333, 0.    ]], dtype=float32)
    """
    a, b = checked_boxes("box_iou", a, ndim=2), checked_boxes("box_iou", b, ndim=2)
    both, union = box_overlap(a[..., :, None, :], b[..., None, :, :])
    return jnp.where(union > 0, both / jnp.where(union > 0, union, 1.0), 0.0)


def corners_of_centers(boxes: jax.Array) -> jax.Array:
    """Corners of boxes that are given by their centres and sizes: (..., 4) of x, y, width, height.

    >>> corners_of_centers(jnp.array([1.0, 2.0, 2.0, 4.0]))
    Array([0., 0., 2., 4.], dtype=float32)
    """
    boxes = checked_boxes("corners_of_centers", boxes)
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return jnp.concatenate([center - half, center + half], axis=-1)


def centers_of_corners(boxes: jax.Array) -> jax.Array:
    """Centres and sizes, (..., 4) of x, y, width, height, of boxes that are given by their corners.

    >>> centers_of_corners(jnp.array([0.0, 0.0, 2.0, 4.0]))
    Array([1., 2., 2., 4.], dtype=float32)
    """
    boxes = checked_boxes("centers_of_corners", boxes)
    low, high = boxes[..., :2], boxes[..., 2:]
    return jnp.concatenate([(low + high) / 2, high - low], axis=-1)


def checked_boxes(name: str, boxes: jax.Array, *, ndim: int = 1) -> jax.Array:
    """Boxes in float32 at least.

    Raises:
      TypeError: they are not floating point.
      ValueError: the last axis is not of four, or they are of a lower rank.
    """
    checks.floats(name, boxes, ndim=ndim)
    if boxes.shape[-1] != 4:
        raise ValueError(f"{name}: expected boxes [...,4] of x0, y0, x1, y1, found {checks.describe(boxes)}.")
    return wide(boxes)


def ordered(name: str, what: str, boxes: Any) -> Any:
    """(...): which boxes have their corners in order; NaN is nothing that is out of it.

    Raises:
      ValueError: values are known, and some are not.
    """
    found = ~(boxes[..., 2:] < boxes[..., :2]).any(-1)
    if not isinstance(found, jax.core.Tracer) and not np.asarray(found).all():
        wrong = np.asarray(boxes)[~np.asarray(found)][0].tolist()
        raise ValueError(
            f"{name}: expected {what} of corners x0, y0, x1, y1 with x0 <= x1 and y0 <= y1, found {wrong}. Of x, y, "
            "width, height give concatenate([xy, xy + size], -1); of centres, jnn.boxes.corners_of_centers(boxes)."
        )
    return found


def _sides(low: jax.Array, high: jax.Array) -> jax.Array:
    width_and_height = jax.nn.relu(high - low)
    return width_and_height[..., 0] * width_and_height[..., 1]
