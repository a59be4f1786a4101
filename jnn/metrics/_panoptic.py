"""Panoptic segmentation: things and stuff, each pixel in one segment of one class."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import ratio, spread, total
from jnn.precision import clipped_integers


class PanopticQuality(NamedTuple):
    """Panoptic quality as sums, per class: (..., classes) each.

    Attributes:
      iou: of the pairs of segments that match: those whose intersection over union is more than a half.
      matched: how many pairs.
      extra: predicted segments without one.
      missed: true segments without one.
    """

    iou: Any
    matched: Any
    extra: Any
    missed: Any

    def quality(self) -> Any:
        """Segmentation quality times recognition quality of each class, 0 of one that does not occur."""
        return ratio(self.iou, self.matched + (self.extra + self.missed) / 2, empty=0.0)

    def segmentation(self) -> Any:
        """Segmentation quality: the mean intersection over union of the pairs, 0 without any."""
        return ratio(self.iou, self.matched, empty=0.0)

    def recognition(self) -> Any:
        """Recognition quality: F1 of the segments, 0 of a class that does not occur."""
        return ratio(self.matched, self.matched + (self.extra + self.missed) / 2, empty=0.0)

    def value(self) -> Any:
        """The mean quality of the classes that occur."""
        occurs = (self.matched + self.extra + self.missed != 0) * 1.0
        return ratio((self.quality() * occurs).sum(-1), occurs.sum(-1))


def panoptic_quality(
    predictions: jax.Array, targets: jax.Array, weight: jax.Array | None = None, *, num_classes: int, num_instances: int
) -> PanopticQuality:
    """Panoptic quality (PQ) of segmentations into classes and instances.

    A segment of the target matches the predicted one of its class with which its intersection is more than half of
    their union: there is one at most. Pixels whose target has the class -1 are not counted, nor are predicted segments
    that lie there by more than a half. See "Panoptic Segmentation", Kirillov et al., 2019.

    Args:
      predictions: (..., y, x, 2), integers: a pixel's class in 0..num_classes-1, or -1 for none, and its instance in
        0..num_instances-1: any number for each thing, one number for all stuff of a class.
      targets: the same shape.
      weight: (...) or its leading axes, of images; 0 for padding, None for 1 each.
      num_classes: how many classes there are.
      num_instances: how many numbers instances of one class have.

    Raises:
      TypeError: predictions or targets are not integers.
      ValueError: shapes do not fit, or values known to lie out of range.

    >>> image = jnp.array([[[0, 0], [0, 0], [1, 0]]])
    >>> float(panoptic_quality(image, image, num_classes=2, num_instances=1).value())
    1.0
    """
    name = "panoptic_quality"
    checks.integers(name, predictions, ndim=3, name="predictions")
    checks.integers(name, targets, ndim=3, name="targets")
    checks.same_shape(name, predictions=predictions, targets=targets)
    if targets.shape[-1] != 2:
        raise ValueError(f"{name}: expected (..., y, x, 2), class and instance, found {checks.describe(targets)}.")
    weight = spread(name, weight, targets[..., 0, 0, 0])
    pair = [_segments(x, weight, num_classes, num_instances) for x in (predictions, targets)]
    maps = tuple(segments.reshape(-1, *segments.shape[-3:]) for segments, _ in pair)
    known = pair[0][1] & pair[1][1]
    # one image after the other: the table of all pairs of segments is large
    each = jax.lax.map(lambda both: _of_image(both[0], both[1], num_classes, num_instances), maps)
    rows = jnp.where(known, weight, jnp.where(weight == 0, weight, jnp.nan)).reshape(-1, 1)
    return PanopticQuality(*(total(x, jnp.broadcast_to(rows, x.shape), axis=0) for x in each))


def _segments(x: jax.Array, weight: jax.Array, classes: int, instances: int) -> tuple[jax.Array, jax.Array]:
    """Checked classes and instances that index safely, and of each image whether all are in range."""
    x = jnp.where(weight[..., None, None, None] == 0, 0, clipped_integers(x))
    label, instance = x[..., 0], jnp.where(x[..., 0] == -1, 0, x[..., 1])
    checks.in_range("panoptic_quality", jnp.where(label == -1, 0, label), classes, what="classes (or -1)")
    checks.in_range("panoptic_quality", instance, instances, what="instances", of="instances")
    fits = (label >= -1) & (label < classes) & (instance >= 0) & (instance < instances)
    return jnp.where(fits[..., None], jnp.stack([label, instance], -1), 0), jnp.all(fits, (-2, -1))


def _of_image(predicted: jax.Array, target: jax.Array, classes: int, instances: int) -> tuple[jax.Array, ...]:
    """The sums (classes,) of one image (y, x, 2)."""
    (c, i), (true_c, true_i) = (tuple(x.reshape(-1, 2).T) for x in (predicted, target))

    def areas(chosen: jax.Array, *index: jax.Array) -> jax.Array:
        """How many chosen pixels each segment, or pair of segments, has: exact in int32."""
        counts = jnp.zeros((classes, *[instances] * (len(index) - 1)), jnp.int32)
        return counts.at[index].add(chosen.astype(jnp.int32))

    void = true_c == -1
    area, in_void, true_area = areas(c != -1, c, i), areas((c != -1) & void, c, i), areas(~void, true_c, true_i)
    both = areas((c == true_c) & ~void, c, i, true_i)
    union = (area - in_void)[:, :, None] + true_area[:, None, :] - both
    match = 2 * both > union
    extra = (area > 0) & ~jnp.any(match, 2) & (2 * in_void <= area)
    missed = (true_area > 0) & ~jnp.any(match, 1)
    iou = jnp.sum(jnp.where(match, both / jnp.where(match, union, 1), 0.0), (1, 2))
    return iou, jnp.sum(match, (1, 2)), jnp.sum(extra, 1), jnp.sum(missed, 1)
