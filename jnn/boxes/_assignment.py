"""Assignment: which box a point or an anchor is to find, and which are to find none.

Laws: of boxes that the mask leaves out none is assigned; where two are as good, the first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.boxes._coding import checked_points, distances_of_corners
from jnn.boxes._geometry import box_area, box_iou, checked_boxes

BACKGROUND, IGNORED = -1, -2


def grid_points(size: tuple[int, int], stride: int) -> jax.Array:
    """Points of a feature map: the centres of its cells, in pixels of the image.

    Args:
      size: rows and columns of the map.
      stride: pixels from one cell to the next.

    Returns:
      (rows * columns, 2) float32: x, y, row by row.

    Raises:
      ValueError: a size or a stride below 1.

    >>> grid_points((1, 2), 8).tolist()
    [[4.0, 4.0], [12.0, 4.0]]
    """
    for what, n in {"rows": size[0], "columns": size[1], "stride": stride}.items():
        checks.count("grid_points", what, n)
    y, x = (stride * (jnp.arange(n, dtype=jnp.float32) + 0.5) for n in size)
    return jnp.stack([jnp.tile(x, size[0]), jnp.repeat(y, size[1])], -1)


def assign_points(
    points: jax.Array,
    boxes: jax.Array,
    ranges: jax.Array,
    *,
    radius: jax.Array | None = None,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Assignment of points to boxes as in FCOS: each to the smallest box that it lies in, of the sizes of its level.

    See "FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., 2019; with a radius, the centre sampling of
    its later version, "FCOS: A Simple and Strong Anchor-free Object Detector", Tian et al., 2020.

    Args:
      points: (n, 2), floating point: x, y, of all levels.
      boxes: (..., m, 4): corners.
      ranges: (n, 2): the least and the greatest of a point's largest distance to the sides of its box.
      radius: (n,): a point lies no further than that from the box's centre, along both axes; None for anywhere in it.
      mask: (..., m), True where there is a box; None where all are.

    Returns:
      (..., n) int32: the place of the point's box among the m, `BACKGROUND` (-1) where there is none.

    Raises:
      TypeError: they are not floating point.
      ValueError: shapes do not fit.

    >>> points = jnp.array([[1.0, 1.0], [3.0, 3.0], [9.0, 9.0]])
    >>> boxes = jnp.array([[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 2.0, 2.0]])
    >>> assign_points(points, boxes, jnp.array([[0.0, 64.0]] * 3)).tolist()
    [1, 0, -1]
    """
    points, boxes = checked_points("assign_points", points), checked_boxes("assign_points", boxes, ndim=2)
    _check_levels(points, ranges, radius)
    mask = _mask("assign_points", boxes, mask)
    lead = (1,) * (boxes.ndim - 2)
    each = points.reshape(*lead, -1, 1, 2)
    distances = distances_of_corners(each, boxes[..., None, :, :])  # (..., n, m, 4)
    farthest = distances.max(-1)
    low, high = (ranges[:, i].reshape(*lead, -1, 1) for i in range(2))
    fits = (distances.min(-1) > 0) & (farthest >= low) & (farthest <= high) & mask[..., None, :]
    if radius is not None:
        middle = (boxes[..., None, :, :2] + boxes[..., None, :, 2:]) / 2
        fits &= jnp.abs(each - middle).max(-1) <= radius.reshape(*lead, -1, 1)
    area = jnp.minimum(box_area(boxes), jnp.finfo(boxes.dtype).max)  # one that is infinite is a box's, too
    area = jnp.where(fits, area[..., None, :], jnp.inf)
    return jnp.where(fits.any(-1), area.argmin(-1), BACKGROUND).astype(jnp.int32)


def assign_by_iou(
    anchors: jax.Array,
    boxes: jax.Array,
    *,
    positive: float = 0.5,
    negative: float = 0.4,
    allow_low_quality: bool = True,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Assignment of anchors to boxes by their overlap (IoU), as in Faster R-CNN and RetinaNet.

    See "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", Ren et al., 2015, where the
    thresholds are 0.7 and 0.3, and "Focal Loss for Dense Object Detection", Lin et al., 2017.

    Args:
      anchors: (n, 4), floating point: corners.
      boxes: (..., m, 4): corners.
      positive: the least overlap of an anchor with its box.
      negative: an anchor that overlaps with every box by less than this is background.
      allow_low_quality: whether a box has the anchors that overlap with it most, even if that is little; each of these
        is assigned to the box that it overlaps with most itself.
      mask: (..., m), True where there is a box; None where all are.

    Returns:
      (..., n) int32: the place of the anchor's box among the m, `BACKGROUND` (-1), or `IGNORED` (-2) in between.

    Raises:
      TypeError: they are not floating point.
      ValueError: shapes do not fit, or not 0 <= negative <= positive <= 1.

    >>> anchors, boxes = jnp.array([[0.0, 0.0, 2.0, 2.0], [4.0, 4.0, 6.0, 6.0]]), jnp.array([[0.0, 0.0, 2.0, 1.8]])
    >>> assign_by_iou(anchors, boxes).tolist()
    [0, -1]
    """
    anchors, boxes = checked_boxes("assign_by_iou", anchors, ndim=2), checked_boxes("assign_by_iou", boxes, ndim=2)
    if anchors.ndim != 2 or not 0 <= negative <= positive <= 1:
        raise ValueError(
            f"assign_by_iou: expected anchors [n,4] and 0 <= negative <= positive <= 1, found "
            f"{checks.describe(anchors)}, {negative} and {positive}."
        )
    iou = box_iou(anchors.reshape((1,) * (boxes.ndim - 2) + anchors.shape), boxes)  # (..., n, m)
    iou = jnp.where(_mask("assign_by_iou", boxes, mask)[..., None, :], iou, 0.0)
    most, own = iou.max(-1), iou.argmax(-1)
    found = (most >= positive) & (most > 0)
    if allow_low_quality:
        found |= ((iou == iou.max(-2, keepdims=True)) & (iou > 0)).any(-1)
    return jnp.where(found, own, jnp.where(most < negative, BACKGROUND, IGNORED)).astype(jnp.int32)


def _check_levels(points: jax.Array, ranges: jax.Array, radius: jax.Array | None) -> None:
    shapes = {"points": points, "ranges": ranges, **({} if radius is None else {"radius": radius})}
    want = {"points": (len(points), 2), "ranges": (len(points), 2), "radius": (len(points),)}
    if any(x.shape != want[name] for name, x in shapes.items()):
        found = ", ".join(f"{name} {checks.describe(x)}" for name, x in shapes.items())
        raise ValueError(
            f"assign_points: expected points (n, 2), ranges (n, 2) and a radius (n,) or None, found {found}."
        )


def _mask(name: str, boxes: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Where there is a box (..., m)."""
    if mask is None:
        return jnp.ones(boxes.shape[:-1], bool)
    if mask.shape != boxes.shape[:-1]:
        raise ValueError(
            f"{name}: expected one mask for each box, found boxes {checks.describe(boxes)} and mask "
            f"{checks.describe(mask)}."
        )
    return mask.astype(bool)
