"""The confusion matrix, and what needs all of it: kappa, Matthews correlation, specificity of many classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics._counting import histogram
from jnn.metrics._counts import Counts
from jnn.metrics._sums import classified, ratio

MOST_CLASSES = 2**14  # a matrix of 1 GiB


class Confusion(NamedTuple):
    """Confusion matrix: rows are labels, columns predictions."""

    matrix: Any  # (..., classes, classes)

    def value(self) -> Any:
        """The matrix. Its numbers are `accuracy()`, `cohen_kappa()` and others, and those of `counts()`."""
        return self.matrix

    def accuracy(self) -> Any:
        """The share on the diagonal."""
        return ratio(self.matrix.diagonal(0, -2, -1).sum(-1), self.matrix.sum((-2, -1)))

    def counts(self) -> Counts:
        """Hits, predictions and examples of each class."""
        return Counts(self.matrix.diagonal(0, -2, -1), self.matrix.sum(-2), self.matrix.sum(-1))

    def balanced_accuracy(self) -> Any:
        """The mean recall of the classes that have examples."""
        counts = self.counts()
        return ratio(counts.recall().sum(-1), (counts.actual != 0).sum(-1) * 1.0)

    def specificity(self) -> Any:
        """Of the examples that are not of a class, the share that was not taken for it: (..., classes)."""
        hits, predicted, actual = self.counts()
        others = actual.sum(-1, keepdims=True) - actual
        return ratio(others - predicted + hits, others, empty=0.0)

    def cohen_kappa(self, power: int = 0) -> Any:
        """Cohen's kappa: the agreement of labels and predictions beyond chance (Cohen, 1960); NaN of a single class.

        A confusion of the classes i and j weighs |i - j|**power: 0 for all alike, 1 for linear, 2 for quadratic
        weights.
        """
        counts = self.counts()
        apart = np.abs(np.subtract.outer(*[np.arange(self.matrix.shape[-1])] * 2))
        cost = np.where(apart == 0, 0, apart**power).reshape((1,) * (self.matrix.ndim - 2) + apart.shape)
        chance = counts.actual[..., :, None] * counts.predicted[..., None, :]
        found = (cost * self.matrix).sum((-2, -1)) * self.matrix.sum((-2, -1))
        return 1 - ratio(found, (cost * chance).sum((-2, -1)))

    def matthews_correlation(self) -> Any:
        """Matthews correlation coefficient of labels and predictions, in -1..1; 0 where one of them does not vary.

        See "Comparing two K-category assignments by a K-category correlation coefficient", Gorodkin, 2004.
        """
        counts = self.counts()
        # each over its own sum: the share of a single class is 1, whatever order others are added up in
        predicted, actual = (ratio(count, count.sum(-1, keepdims=True)) for count in counts[1:])
        hits = ratio(counts.hits, self.matrix.sum((-2, -1))[..., None])
        covariance = hits.sum(-1) - (predicted * actual).sum(-1)
        variance = (1 - (predicted**2).sum(-1)) * (1 - (actual**2).sum(-1))
        return ratio(covariance, variance**0.5, empty=0.0)


def confusion_matrix(logits: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> Confusion:
    """Confusion matrix: how often each class was taken for each, the greatest logit being the prediction.

    Args:
      logits: (..., classes), floating point: logits or probabilities; for predictions that are integers
        already, `jax.nn.one_hot(predictions, classes)`. NaN among them gives NaN.
      labels: (...), integers in 0..classes-1.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Returns:
      Confusion of a (classes, classes) matrix; its `counts()` give precision, recall, F1 and IoU.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range, or more classes than a matrix is for.

    >>> confusion_matrix(jnp.array([[2.0, 1.0], [0.0, 3.0], [0.0, 3.0]]), jnp.array([0, 1, 0])).matrix.tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    labels, weight = classified("confusion_matrix", logits, labels, weight)
    classes = logits.shape[-1]
    if classes > MOST_CLASSES:
        raise ValueError(
            f"confusion_matrix: {classes} classes make a matrix of {classes**2 * 4 / 1e9:.1f} GB, expected at most "
            f"{MOST_CLASSES} classes. For precision, recall and F1 of each class take class_counts: it needs no matrix."
        )
    cell = labels * classes + jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return Confusion(histogram(cell, weight, classes**2).reshape(classes, classes))
