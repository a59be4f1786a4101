"""Boxes in images, given by their corners: (..., 4) holds x0, y0, x1, y1 with x0 <= x1 and y0 <= y1.

    box_area, box_overlap, box_iou                      areas; intersection and union one by one; of all pairs
    corners_of_centers, centers_of_corners              to and from centre x, y, width, height
    corners_of_distances, distances_of_corners          to and from what FCOS predicts at a point
    corners_of_deltas, deltas_of_corners                to and from what Faster R-CNN predicts of an anchor
    centerness, grid_points                             how central a point lies in its box; the points of a feature map
    assign_points, assign_by_iou                        which box each point, or each anchor, is to find
    non_maximum_suppression, soft_non_maximum_suppression   the best of the boxes that overlap

Laws: float32 at least; a box whose corners are in the wrong order has no area, and overlaps with nothing; shapes are
static, so that everything runs under `jit` and `vmap`, and boxes that a mask leaves out are not there, whatever they
hold. What lives here is what losses, metrics, models and data share. What does not: losses of boxes (`jnn.losses`),
their average precision (`jnn.metrics`), and images that move with their boxes (`jnn.data.augment`).
"""

from jnn.boxes._assignment import BACKGROUND, IGNORED, assign_by_iou, assign_points, grid_points
from jnn.boxes._coding import (
    centerness,
    corners_of_deltas,
    corners_of_distances,
    deltas_of_corners,
    distances_of_corners,
)
from jnn.boxes._geometry import box_area, box_iou, box_overlap, centers_of_corners, corners_of_centers
from jnn.boxes._geometry import checked_boxes as checked_boxes  # what the functions of other rooms check by
from jnn.boxes._geometry import ordered as ordered
from jnn.boxes._suppression import Kept, non_maximum_suppression, soft_non_maximum_suppression

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "Kept",
    "assign_by_iou",
    "assign_points",
    "box_area",
    "box_iou",
    "box_overlap",
    "centerness",
    "centers_of_corners",
    "corners_of_centers",
    "corners_of_deltas",
    "corners_of_distances",
    "deltas_of_corners",
    "distances_of_corners",
    "grid_points",
    "non_maximum_suppression",
    "soft_non_maximum_suppression",
]
