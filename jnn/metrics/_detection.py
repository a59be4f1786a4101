"""Detection: the mean average precision over boxes by COCO's rules, on the host.

Detections are matched one after the other, each to the best of what is left: nothing that a sum could hold. So
predictions of all images are put together (`concatenation`), and the number comes from the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jnn import checks
from jnn.boxes import ordered
from jnn.metrics._sums import ratio

RECALLS = np.linspace(0, 1, 101)
IOUS = tuple(np.linspace(0.5, 0.95, 10))


class BoxAveragePrecision(NamedTuple):
    """Average precision and recall of boxes: two arrays (thresholds, classes), NaN for classes without a true box."""

    precision: np.ndarray
    recall: np.ndarray

    @property
    def combine(self) -> None:
        """None: what all images say does not follow from what two halves of them say."""

    def value(self) -> Any:
        """The mean average precision over thresholds and the classes that have true boxes."""
        return _mean(self.precision)

    def mean_recall(self) -> Any:
        """The mean recall, of all detections that count, over thresholds and the classes that have true boxes."""
        return _mean(self.recall)


def mean_average_precision(
    boxes: Any,
    scores: Any,
    labels: Any,
    true_boxes: Any,
    true_labels: Any,
    *,
    num_classes: int,
    crowd: Any = None,
    thresholds: Sequence[float] = IOUS,
    area: tuple[float, float] = (0.0, np.inf),
    max_detections: int = 100,
) -> BoxAveragePrecision:
    """Mean average precision (mAP) over boxes by COCO's definition, of whole arrays, on the host.

    In the order of their scores, detections of a class take the true box of their image with which they overlap most,
    by a threshold at least, and that none has taken. The precision is made to fall with the recall, and read at 101
    recalls. See "Microsoft COCO: Common Objects in Context", Lin et al., 2014. Those of two batches do not merge:
    gather the images of all by `concatenation` first.

    Args:
      boxes: (images, n, 4): left, top, right and bottom.
      scores: (images, n), floating point.
      labels: (images, n), integers in 0..num_classes-1, or -1 where there is no detection.
      true_boxes: (images, m, 4), as boxes; COCO's files have x, y, width, height.
      true_labels: (images, m), integers in 0..num_classes-1, or -1 where there is no box.
      num_classes: how many classes there are.
      crowd: (images, m), true for regions of many: what lies in them is neither right nor wrong; None for none.
      thresholds: of the intersection over union, each with a precision of its own.
      area: the least and the greatest area of the boxes that count; others are neither right nor wrong.
      max_detections: how many of each image and class count, those with the highest scores.

    Returns:
      BoxAveragePrecision; its `value()` is the mean: `.precision[0]` are the classes' at the first threshold.

    Raises:
      TypeError: labels are not integers.
      ValueError: shapes do not fit, labels lie out of range, what is there has NaN, or the corners of a true box are in
        the wrong order.

    >>> box = np.array([[[0.0, 0.0, 2.0, 2.0]]])
    >>> one = np.zeros((1, 1), int)
    >>> float(mean_average_precision(box, one + 0.9, one, box, one, num_classes=1).value())
    1.0
    """
    boxes, scores, labels, true_boxes, true_labels = map(np.asarray, (boxes, scores, labels, true_boxes, true_labels))
    crowd = np.zeros(true_labels.shape, bool) if crowd is None else np.asarray(crowd, bool)
    _check(boxes, labels, num_classes, scores=scores)
    _check(true_boxes, true_labels, num_classes, crowd=crowd)
    ordered("mean_average_precision", "true boxes", true_boxes[true_labels >= 0])
    if len(boxes) != len(true_boxes):
        raise ValueError(f"mean_average_precision: {len(boxes)} images of boxes, but {len(true_boxes)} of true boxes.")

    def of_class(label: int) -> tuple[np.ndarray, np.ndarray]:
        images = []
        for i in range(len(boxes)):
            found, true = labels[i] == label, true_labels[i] == label
            if not (found.any() or true.any()):
                continue
            order = np.argsort(-scores[i][found], kind="stable")[:max_detections]
            mine, region = boxes[i][found][order].astype(float), crowd[i][true]
            images.append(
                (scores[i][found][order], *_match(mine, true_boxes[i][true].astype(float), region, thresholds, area))
            )
        return _precision(images, len(thresholds))

    return BoxAveragePrecision(*(np.stack(x, -1) for x in zip(*map(of_class, range(num_classes)), strict=True)))


def _match(
    boxes: np.ndarray, true: np.ndarray, crowd: np.ndarray, thresholds: Sequence[float], area: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Of one image: which detections are right and which count (thresholds, n), and how many true boxes count."""
    outside = lambda x: (_area(x) < area[0]) | (_area(x) > area[1])
    ignored = crowd | outside(true)
    order = np.argsort(ignored, kind="stable")  # what counts comes first
    true, crowd, ignored = true[order], crowd[order], ignored[order]
    overlap = _box_iou(boxes, true, crowd)
    right = np.zeros((len(thresholds), len(boxes)), bool)
    counts = np.tile(~outside(boxes), (len(thresholds), 1))
    for t, threshold in enumerate(thresholds):
        free = np.ones(len(true), bool)
        for d in range(len(boxes)):
            fits = free & (overlap[d] >= min(threshold, 1 - 1e-10))
            fits = fits & ~ignored if (fits & ~ignored).any() else fits
            if fits.any():
                # of equal ones the last, as COCO has it
                best = len(true) - 1 - int(np.argmax(np.where(fits, overlap[d], -1)[::-1]))
                free[best] = crowd[best]
                right[t, d] = counts[t, d] = not ignored[best]
    return right, counts, int(np.sum(~ignored))


def _precision(images: list[Any], thresholds: int) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and recall (thresholds,) of one class, from the matches of each image."""
    number = sum(image[3] for image in images)
    if not number:
        return np.full(thresholds, np.nan), np.full(thresholds, np.nan)
    order = np.argsort(-np.concatenate([image[0] for image in images]), kind="stable")
    right, counts = (np.concatenate([image[i] for image in images], -1)[:, order] for i in (1, 2))
    hits, taken = np.cumsum(right, -1), np.cumsum(counts, -1)
    precision = ratio(hits, taken, empty=0.0)
    falling = np.maximum.accumulate(precision[:, ::-1], -1)[:, ::-1]
    recall = hits / number
    padded = np.pad(falling, ((0, 0), (0, 1)))
    each = [np.mean(p[np.searchsorted(r, RECALLS)]) for p, r in zip(padded, recall, strict=True)]
    return np.array(each), recall[:, -1] if recall.shape[-1] else np.zeros(thresholds)


def _box_iou(boxes: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m); with a crowd, over the detection alone.

    `jnn.boxes.box_iou` on the host: each image has as many boxes as it has, which JAX would compile anew for, and at a
    threshold float32 may round to its other side.
    """
    low = np.maximum(boxes[:, None, :2], true[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], true[None, :, 2:])
    both = np.maximum(high - low, 0).prod(-1)
    own, theirs = _area(boxes)[:, None], _area(true)
    return ratio(both, np.where(crowd, own, own + theirs - both), empty=0.0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)


def _mean(scores: np.ndarray) -> Any:
    """Of what is not NaN."""
    known = ~np.isnan(scores)
    return ratio(scores[known].sum(), known.sum())


def _check(boxes: np.ndarray, labels: np.ndarray, num_classes: int, **others: np.ndarray) -> None:
    name = "mean_average_precision"
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"{name}: expected integer labels, found {checks.describe(labels)}.")
    ((what, other),) = others.items()
    if boxes.ndim != 3 or boxes.shape != (*labels.shape, 4) or other.shape != labels.shape:
        raise ValueError(
            f"{name}: expected boxes (images, n, 4), and labels and {what} (images, n), found "
            f"{checks.describe(boxes)}, {checks.describe(labels)} and {checks.describe(other)}."
        )
    for part, values in (("boxes", boxes), (what, other)):
        if np.isnan(values[labels >= 0]).any():
            raise ValueError(f"{name}: expected numbers, found NaN among the {part} whose label is not -1.")
    if labels.size and (labels.min() < -1 or labels.max() >= num_classes):
        raise ValueError(
            f"{name}: expected labels in 0..{num_classes - 1}, or -1 for none, found {labels.min()}..{labels.max()}."
        )
