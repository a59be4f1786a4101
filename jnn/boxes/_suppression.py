"""Non-maximum suppression: of boxes that overlap the one with the best score, hard, or soft by decaying scores.

Laws: what is kept comes in the order of falling scores, of equal ones the first; boxes of two labels do not meet; what
is left out by the mask, or has a score of NaN or minus infinity, is not there. Each step picks the best of what is left
and lowers what overlaps with it, as the papers have it: `size` steps over n boxes, and no table of n times n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.boxes._geometry import box_iou, checked_boxes
from jnn.precision import wide


class Kept(NamedTuple):
    """What suppression keeps: places among the boxes, which of these places are filled, and their scores.

    indices: (..., size) int32, always valid ones.
    mask: (..., size) bool; True comes first.
    scores: (..., size), 0 where the mask is False.
    """

    indices: jax.Array
    mask: jax.Array
    scores: jax.Array


def non_maximum_suppression(
    boxes: jax.Array,
    scores: jax.Array,
    size: int,
    *,
    labels: jax.Array | None = None,
    mask: jax.Array | None = None,
    iou_threshold: float = 0.5,
    score_threshold: float = -math.inf,
) -> Kept:
    """Non-maximum suppression (NMS): the best box, without all that overlap with it; then the best of the rest.

    See "Rich feature hierarchies for accurate object detection and semantic segmentation", Girshick et al., 2014.

    Args:
      boxes: (..., n, 4), floating point: corners.
      scores: (..., n), floating point.
      size: how many boxes are kept at most.
      labels: (..., n), integers: boxes suppress those of their own label alone; None where all are of one.
      mask: (..., n), True where there is a box; None where all are.
      iou_threshold: the intersection over union above which the lesser box goes.
      score_threshold: the least score.

    Returns:
      Kept: `boxes[indices]` where `mask`.

    Raises:
      TypeError: boxes or scores are not floating point, or labels not integers.
      ValueError: shapes do not fit, a size below 1, or an overlap outside [0, 1].

    >>> boxes = jnp.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    >>> kept = non_maximum_suppression(boxes, jnp.array([0.6, 0.9, 0.3]), 3)
    >>> kept.indices[kept.mask].tolist()
    [1, 2]
    """
    name, in_range = "non_maximum_suppression", lambda x: (x >= 0) & (x <= 1)
    most = checks.number(name, "iou_threshold", iou_threshold, in_range, "in [0, 1]", like=scores)
    drop = lambda iou, scores: jnp.where(iou > most, -jnp.inf, scores)
    return _greedy(name, boxes, scores, size, labels, mask, score_threshold, drop)


def soft_non_maximum_suppression(
    boxes: jax.Array,
    scores: jax.Array,
    size: int,
    *,
    labels: jax.Array | None = None,
    mask: jax.Array | None = None,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
) -> Kept:
    """Soft non-maximum suppression (Soft-NMS): what overlaps with a better box loses score, by a Gaussian of how much.

    See "Soft-NMS: Improving Object Detection With One Line of Code", Bodla et al., 2017.

    Args:
      boxes, scores, size, labels, mask: as for `non_maximum_suppression`; scores of 0 and more.
      sigma: scores fall by `exp(-iou**2 / sigma)`; positive.
      score_threshold: the least score, once it has fallen.

    Returns:
      Kept, with the scores that have fallen.

    Raises:
      TypeError, ValueError: as `non_maximum_suppression` does; a sigma that is not positive.

    >>> boxes = jnp.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0], [5.0, 5.0, 6.0, 6.0]])
    >>> kept = soft_non_maximum_suppression(boxes, jnp.array([0.9, 0.6, 0.5]), 3)
    >>> kept.indices.tolist(), [f"{score:.3f}" for score in kept.scores]
    ([0, 2, 1], ['0.900', '0.500', '0.364'])
    """
    name = "soft_non_maximum_suppression"
    width = checks.number(name, "sigma", sigma, lambda x: x > 0, "above 0", like=scores)
    decay = lambda iou, scores: scores * jnp.exp(-(iou**2) / width)
    return _greedy(name, boxes, scores, size, labels, mask, score_threshold, decay)


def _greedy(
    name: str,
    boxes: jax.Array,
    scores: jax.Array,
    size: int,
    labels: jax.Array | None,
    mask: jax.Array | None,
    score_threshold: float,
    lowered: Callable[[jax.Array, jax.Array], jax.Array],
) -> Kept:
    """The best of what is left, `size` times; `lowered(iou with the best, scores)` is left of the others."""
    boxes, scores = checked_boxes(name, boxes, ndim=2), _scores(name, boxes, scores)
    checks.count(name, "size", size)
    given = {"labels": labels, "mask": mask}
    checks.same_shape(name, scores=scores, **{what: x for what, x in given.items() if x is not None})
    if labels is not None:
        labels = checks.integers(name, labels, name="labels")
    there = jnp.isfinite(scores) | (scores == jnp.inf)
    left = jnp.where(there if mask is None else there & mask.astype(bool), scores, -jnp.inf)

    def step(left: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        left = jnp.where(left >= score_threshold, left, -jnp.inf)
        best = left.argmax(-1, keepdims=True)
        score = jnp.take_along_axis(left, best, -1)
        iou = box_iou(jnp.take_along_axis(boxes, best[..., None], -2), boxes)[..., 0, :]
        if labels is not None:
            iou = jnp.where(labels == jnp.take_along_axis(labels, best, -1), iou, 0.0)
        chosen = jnp.arange(left.shape[-1]).reshape((1,) * (left.ndim - 1) + (-1,)) == best
        return jnp.where(chosen, -jnp.inf, lowered(iou.astype(left.dtype), left)), (best[..., 0], score[..., 0])

    _, (index, kept) = jax.lax.scan(step, left, length=size)
    index, kept = jnp.moveaxis(index, 0, -1).astype(jnp.int32), jnp.moveaxis(kept, 0, -1)
    return Kept(index, kept > -jnp.inf, jnp.where(kept > -jnp.inf, kept, 0.0))


def _scores(name: str, boxes: jax.Array, scores: jax.Array) -> jax.Array:
    """In float32 at least, one for each box."""
    checks.floats(name, scores)
    if scores.shape != boxes.shape[:-1]:
        raise ValueError(
            f"{name}: expected one score for each box, found boxes {checks.describe(boxes)} and scores "
            f"{checks.describe(scores)}."
        )
    return wide(scores)
