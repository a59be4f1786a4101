"""Instance segmentation: objects without classes, found or not, by how far they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._sums import ratio, spread, total
from jnn.precision import clipped_integers


class InstancePrecision(NamedTuple):
    """Average precision of instances as sums, at each threshold of the intersection over union: (..., thresholds).

    Attributes:
      matched: pairs of a found and a true instance that overlap by more than the threshold.
      extra: found instances without one.
      missed: true instances without one.

    >>> counts = InstancePrecision(jnp.array([3.0, 2.0]), jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0]))
    >>> counts.average_precision().tolist(), counts.recall()[0].item()
    ([0.75, 0.4000...], 1.0)
    """

    matched: Any
    extra: Any
    missed: Any

    def average_precision(self) -> Any:
        """Pairs over pairs, extra and missed: (..., thresholds); NaN where nothing is there and nothing is found."""
        return ratio(self.matched, self.matched + self.extra + self.missed)

    def precision(self) -> Any:
        """The share of what was found that is there: (..., thresholds), 0 where nothing was found."""
        return ratio(self.matched, self.matched + self.extra, empty=0.0)

    def recall(self) -> Any:
        """The share of what is there that was found: (..., thresholds), 0 where nothing is there."""
        return ratio(self.matched, self.matched + self.missed, empty=0.0)

    def f1(self) -> Any:
        """F1, the harmonic mean of both: (..., thresholds)."""
        return ratio(2 * self.matched, 2 * self.matched + self.extra + self.missed, empty=0.0)

    def value(self) -> Any:
        """The mean of the average precision over thresholds."""
        return self.average_precision().mean(-1)


def instance_precision(
    predictions: jax.Array,
    targets: jax.Array,
    weight: jax.Array | None = None,
    *,
    num_instances: int,
    thresholds: Sequence[float] = (0.5,),
) -> InstancePrecision:
    """Average precision (AP) of instance segmentation without classes or scores: TP / (TP + FP + FN), of all images.

    A found instance matches the true one with which its intersection is more than the threshold of their union: there
    is one at most. See "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Caicedo et al.,
    2019, which takes the mean over thresholds from 0.5 to 0.95, and over images in place of their sums; and "Cell
    Detection with Star-Convex Polygons", Schmidt et al., 2018. COCO's, by scores, is of `mean_average_precision`.

    Args:
      predictions: (..., y, x), integers: a pixel's instance in 1..num_instances-1, or 0 for none.
      targets: the same shape.
      weight: (...) or its leading axes, of images; 0 for padding, None for 1 each.
      num_instances: how many numbers there are, 0 among them.
      thresholds: of the intersection over union, each at least 0.5 and below 1.

    Raises:
      TypeError: predictions or targets are not integers.
      ValueError: shapes do not fit, values are known to lie out of range, or a threshold does.

    >>> image = jnp.array([[1, 1, 0, 2]])
    >>> float(instance_precision(jnp.array([[1, 1, 1, 0]]), image, num_instances=3).value())
    0.5
    """
    name = "instance_precision"
    checks.integers(name, predictions, ndim=2, name="predictions")
    checks.integers(name, targets, ndim=2, name="targets")
    checks.same_shape(name, predictions=predictions, targets=targets)
    if not thresholds or not all(0.5 <= threshold < 1 for threshold in thresholds):
        raise ValueError(f"{name}: expected thresholds of at least 0.5 and below 1, found {tuple(thresholds)}.")
    weight = spread(name, weight, targets[..., 0, 0])
    pair = [_numbers(x, weight, num_instances) for x in (predictions, targets)]
    maps = tuple(numbers.reshape(-1, *numbers.shape[-2:]) for numbers, _ in pair)
    # one image after the other: the table of all pairs of instances is large
    levels = np.array(thresholds, np.float32)
    each = jax.lax.map(lambda both: _of_image(both[0], both[1], num_instances, levels), maps)
    known = pair[0][1] & pair[1][1]
    rows = jnp.where(known, weight, jnp.where(weight == 0, weight, jnp.nan)).reshape(-1, 1)
    return InstancePrecision(*(total(x, jnp.broadcast_to(rows, x.shape), axis=0) for x in each))


def _numbers(x: jax.Array, weight: jax.Array, instances: int) -> tuple[jax.Array, jax.Array]:
    """Checked numbers that index safely, and of each image whether all are in range."""
    x = jnp.where(weight[..., None, None] == 0, 0, clipped_integers(x))
    checks.in_range("instance_precision", x, instances, what="instances", of="instances")
    fits = (x >= 0) & (x < instances)
    return jnp.where(fits, x, 0), jnp.all(fits, (-2, -1))


def _of_image(found: jax.Array, true: jax.Array, instances: int, thresholds: np.ndarray) -> tuple[jax.Array, ...]:
    """Pairs, extra and missed instances (thresholds,) of one image (y, x): exact in int32."""
    pixels = jnp.zeros((instances, instances), jnp.int32).at[found.ravel(), true.ravel()].add(1)
    both, found_area, true_area = pixels[1:, 1:], pixels.sum(1)[1:], pixels.sum(0)[1:]
    union = found_area[:, None] + true_area[None, :] - both
    iou = both / jnp.maximum(union, 1)
    matched = jnp.sum(iou[..., None] > thresholds[None, None], (0, 1))
    return matched, jnp.sum(found_area > 0) - matched, jnp.sum(true_area > 0) - matched
