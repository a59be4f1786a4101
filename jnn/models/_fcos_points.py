"""FCOS around its head: the points of a pyramid, what each of them is to find, and the boxes that come of them.

points = fcos_points(size, strides, limits)
boxes, labels = fcos_targets(points, boxes, labels)         what each point is to say, for losses
fcos_boxes(points, predictions)                             what each point says, for losses of boxes
fcos_detections(points, predictions, size)                  the boxes of an image, for metrics and pictures
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.boxes import BACKGROUND, assign_points, corners_of_distances, grid_points, non_maximum_suppression
from jnn.models._fcos import PointPredictions
from jnn.precision import wide


class PyramidPoints(NamedTuple):
    """Points of all maps of a pyramid, in the order of `fcos_head`'s predictions.

    places: (n, 2) float32: x, y in pixels.
    strides: (n,): pixels between neighbours.
    ranges: (n, 2): the least and the greatest distance to the sides of its box that a point is for.
    """

    places: jax.Array
    strides: jax.Array
    ranges: jax.Array


def fcos_points(
    size: tuple[int, int],
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    limits: Sequence[float] = (64, 128, 256, 512),
) -> PyramidPoints:
    """Points of FCOS: those of every map of a pyramid, and how far the sides of their boxes may be.

    See "FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., 2019, whose numbers are the defaults.

    Args:
      size: height and width of the images.
      strides: of each map.
      limits: between one map and the next, pixels: how far the farthest side of a box is, at most, for the finer one.

    Returns:
      PyramidPoints.

    Raises:
      ValueError: as many limits as maps, less one, were expected, and rising ones.

    >>> points = fcos_points((16, 16), (8, 16), (12,))
    >>> points.places.tolist()
    [[4.0, 4.0], [12.0, 4.0], [4.0, 12.0], [12.0, 12.0], [8.0, 8.0]]
    >>> points.ranges[:, 1].tolist()
    [12.0, 12.0, 12.0, 12.0, inf]
    """
    if len(limits) != len(strides) - 1 or list(limits) != sorted(limits):
        raise ValueError(
            f"fcos_points: expected a rising limit between each two of {len(strides)} maps, found {tuple(limits)}."
        )
    places = [grid_points((-(-size[0] // s), -(-size[1] // s)), s) for s in strides]
    each = lambda values: np.repeat(np.float32(values), [len(p) for p in places])
    ranges = np.stack([each([0, *limits]), each([*limits, np.inf])], -1)
    return PyramidPoints(jnp.concatenate(places), jnp.asarray(each(strides)), jnp.asarray(ranges))


def fcos_targets(
    points: PyramidPoints, boxes: jax.Array, labels: jax.Array, *, radius: float = 1.5
) -> tuple[jax.Array, jax.Array]:
    """Targets of FCOS: the box and the label that each point is to find.

    See `jnn.boxes.assign_points`.

    Args:
      points: of n.
      boxes: (..., m, 4), floating point: corners in pixels.
      labels: (..., m), integers, -1 where there is no box.
      radius: how far a point may be from the centre of its box, along each axis, in strides.

    Returns:
      Boxes (..., n, 4), and labels (..., n), -1 where a point has none; its box is any then.

    Raises:
      TypeError: boxes are not floating point, or labels not integers.
      ValueError: shapes do not fit.

    >>> points = fcos_points((16, 16), (8, 16), (12,))
    >>> fcos_targets(points, jnp.array([[1.0, 1.0, 9.0, 9.0]]), jnp.array([3]))[1].tolist()
    [3, -1, -1, -1, -1]
    """
    labels = checks.integers("fcos_targets", labels, name="labels")
    own = assign_points(points.places, boxes, points.ranges, radius=radius * points.strides, mask=labels >= 0)
    at = jnp.maximum(own, 0)
    found = jnp.take_along_axis(labels, at, -1)
    return jnp.take_along_axis(boxes, at[..., None], -2), jnp.where(own >= 0, found, BACKGROUND)


def fcos_boxes(points: PyramidPoints, found: PointPredictions) -> jax.Array:
    """Boxes that FCOS predicts, one at each point.

    Args:
      points: of n.
      found: as `fcos_head` returns.

    Returns:
      (..., n, 4): corners in pixels, float32 at least.

    Raises:
      ValueError: there are predictions of other points.

    >>> points = fcos_points((8, 8), (8,), ())
    >>> fcos_boxes(points, PointPredictions(jnp.zeros((1, 1)), jnp.full((1, 4), 0.25), jnp.zeros(1))).tolist()
    [[2.0, 2.0, 6.0, 6.0]]
    """
    checks.floats("fcos_boxes", found.distances, ndim=2)
    if found.distances.shape[-2] != len(points.places):
        raise ValueError(
            f"fcos_boxes: expected predictions of {len(points.places)} points, found distances "
            f"{checks.describe(found.distances)}. fcos_points takes the size of the images and the strides of the maps."
        )
    lead = (1,) * (found.distances.ndim - 2)
    distances = wide(found.distances) * points.strides.reshape(*lead, -1, 1)
    return corners_of_distances(points.places.reshape(*lead, -1, 2), distances)


def fcos_detections(
    points: PyramidPoints,
    found: PointPredictions,
    size: tuple[int, int],
    *,
    candidates: int = 1000,
    most: int = 100,
    iou_threshold: float = 0.6,
    score_threshold: float = 0.05,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Detections of FCOS: the likeliest boxes of an image, of each class without those that overlap with better ones.

    See "FCOS: A Simple and Strong Anchor-free Object Detector", Tian et al., 2020: a score is the square root of the
    probability of the class times the center-ness, or 0 where that is no number.

    Args:
      points: of n.
      found: as `fcos_head` returns.
      size: height and width of the images, at which boxes end.
      candidates: how many boxes are looked at.
      most: how many are kept.
      iou_threshold, score_threshold: as for `jnn.boxes.non_maximum_suppression`.

    Returns:
      Boxes (..., most, 4), scores (..., most), and labels (..., most), -1 where there is none: what
      `jnn.metrics.mean_average_precision` takes.

    Raises:
      ValueError: there are predictions of other points.

    >>> found = PointPredictions(jnp.zeros((1, 1)), jnp.full((1, 4), 0.25), jnp.zeros(1))
    >>> boxes, scores, labels = fcos_detections(fcos_points((8, 8), (8,), ()), found, (8, 8), most=2)
    >>> scores.tolist(), labels.tolist()
    ([0.5, 0.0], [0, -1])
    """
    boxes, classes = fcos_boxes(points, found), found.logits.shape[-1]
    probability = jax.nn.sigmoid(wide(found.logits)) * jax.nn.sigmoid(wide(found.centerness))[..., None]
    scores = jnp.sqrt(jnp.where(jnp.isnan(probability), 0, probability)).reshape(*probability.shape[:-2], -1)
    likeliest, at = jax.lax.top_k(scores, min(candidates, scores.shape[-1]))
    point, labels = jnp.divmod(at, classes)
    high = jnp.asarray([size[1], size[0]] * 2, boxes.dtype).reshape((1,) * (boxes.ndim - 1) + (4,))
    boxes = jnp.clip(jnp.take_along_axis(boxes, point[..., None], -2), 0, high)
    kept = non_maximum_suppression(
        boxes, likeliest, most, labels=labels, iou_threshold=iou_threshold, score_threshold=score_threshold
    )
    of_kept = jnp.where(kept.mask, jnp.take_along_axis(labels, kept.indices, -1), BACKGROUND)
    return jnp.take_along_axis(boxes, kept.indices[..., None], -2), kept.scores, of_kept
