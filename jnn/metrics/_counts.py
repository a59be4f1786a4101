"""Counts per class: precision, recall, F1 and intersection over union from them.

Law: precision, recall, F1 and IoU of a class without a single prediction or example are 0, not NaN; a macro
average leaves out the classes that occur in neither labels nor predictions.

    class_counts, binary_counts      Counts, of which a history shows the macro average of F1
    mean_iou                         the same counts, of which it shows the mean intersection over union
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._counting import histogram
from jnn.metrics._sums import classified, ratio, total, yes_or_no


class Counts(NamedTuple):
    """Counts per class: how often it was predicted rightly, predicted, and there: three arrays (..., classes).

    >>> counts = Counts(jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]), jnp.array([1.0, 3.0]))
    >>> counts.precision().tolist(), float(counts.micro().recall()[0])
    ([0.5, 1.0], 0.75)
    """

    hits: Any
    predicted: Any
    actual: Any

    def precision(self) -> Any:
        """Of the predictions of a class, the share that was right: (..., classes)."""
        return ratio(self.hits, self.predicted, empty=0.0)

    def recall(self) -> Any:
        """Of the examples of a class, the share that was found: (..., classes)."""
        return ratio(self.hits, self.actual, empty=0.0)

    def f1(self) -> Any:
        """F1, the harmonic mean of precision and recall: of regions also called the Dice coefficient (Dice, 1945)."""
        return self.f_beta(1.0)

    def f_beta(self, beta: float) -> Any:
        """F-beta: recall counts beta times as much as precision ("Information Retrieval", van Rijsbergen, 1979)."""
        return ratio((1 + beta**2) * self.hits, self.predicted + beta**2 * self.actual, empty=0.0)

    def iou(self) -> Any:
        """Intersection over union (Jaccard, 1901): (..., classes); its mean is the value of `mean_iou`."""
        return ratio(self.hits, self.predicted + self.actual - self.hits, empty=0.0)

    def micro(self) -> Counts:
        """All classes pooled into one: `counts.micro().f1()` has shape (..., 1)."""
        return Counts(*(count.sum(-1, keepdims=True) for count in self))

    def macro(self, scores: Any) -> Any:
        """The mean of per-class scores over the classes that occur: `counts.macro(counts.f1())`."""
        occurs = (self.predicted + self.actual > 0) * 1.0
        return ratio((scores * occurs).sum(-1), occurs.sum(-1))

    def weighted(self, scores: Any) -> Any:
        """The mean of per-class scores, weighted by how often each class is there."""
        return ratio((scores * self.actual).sum(-1), self.actual.sum(-1))

    def value(self) -> Any:
        """The macro average of F1."""
        return self.macro(self.f1())


def class_counts(logits: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> Counts:
    """Counts per class without a confusion matrix, for any number of classes; the greatest logit is the prediction.

    Args:
      logits: (..., classes), floating point: logits or probabilities; for predictions that are integers
        already, `jax.nn.one_hot(predictions, classes)`. NaN among them gives NaN.
      labels: (...), integers in 0..classes-1.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Returns:
      Counts of (classes,): the same as `confusion_matrix(logits, labels, weight).counts()`. Its `value()`, and so what
      a history shows, is the macro average of F1, which is that of Dice coefficients; `mean_iou` shows mean IoU.

    >>> class_counts(jnp.array([[2.0, 1.0], [0.0, 3.0], [0.0, 3.0]]), jnp.array([0, 1, 0])).recall().tolist()
    [0.5, 1.0]
    """
    labels, weight = classified("class_counts", logits, labels, weight)
    predicted = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    count = lambda index, weight: histogram(index, weight, logits.shape[-1])
    hits = jnp.where(jnp.isnan(weight) | (labels == predicted), weight, 0)
    return Counts(count(labels, hits), count(predicted, weight), count(labels, weight))


class MeanIoU(Counts):
    """Counts per class, whose value is the mean intersection over union.

    >>> float(MeanIoU(jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]), jnp.array([1.0, 4.0])).value())
    0.5
    """

    __slots__ = ()

    def value(self) -> Any:
        """The macro average of the intersection over union."""
        return self.macro(self.iou())


def mean_iou(logits: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> MeanIoU:
    """Mean intersection over union (mIoU, macro Jaccard index) of segmentation or classes, as counts that merge.

    See "The Distribution of the Flora in the Alpine Zone", Jaccard, 1912.

    Takes and raises what `class_counts` does: of images logits (batch, y, x, classes) and labels (batch, y, x), pooled
    over all pixels of all images. A weight of 0 leaves a pixel out, whatever its label: torch's `ignore_index`.

    >>> float(mean_iou(jnp.array([[2.0, 1.0], [0.0, 3.0], [0.0, 3.0]]), jnp.array([0, 1, 0])).value())
    0.5
    """
    return MeanIoU(*class_counts(logits, labels, weight))


def binary_counts(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, threshold: float = 0.5
) -> Counts:
    """Counts of the answer yes, `score > threshold`, for one or more independent questions.

    Args:
      scores: (..., outputs), floating point: probabilities, or logits with a threshold of 0. NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (..., outputs) or its leading axes; 0 for padding, None for 1 each.
      threshold: of the answer yes.

    Returns:
      Counts of (outputs,), each output a class of its own: `counts.precision()[0]` for a single one.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes differ, or labels known to be neither 0 nor 1.

    >>> binary_counts(jnp.array([[0.9], [0.6]]), jnp.array([[1], [0]])).precision().tolist()
    [0.5]
    """
    checks.rank("binary_counts", scores, 1)
    actual, weight = yes_or_no("binary_counts", scores, labels, weight)
    predicted = scores > threshold
    return Counts(*(_per_output(x, weight) for x in (predicted & actual, predicted, actual)))


def _per_output(values: jax.Array, weight: jax.Array) -> jax.Array:
    return total(values, weight, axis=tuple(range(values.ndim - 1)))
