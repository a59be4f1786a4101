"""How far two labelings agree, or two nominal variables are associated: a table of counts, and what follows from it.

Mutual information, adjusted Rand index and V-measure compare clusters with classes; Cramér's V and its like are of chi
squared; Theil's U is the homogeneity or the completeness.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._counting import histogram
from jnn.metrics._sums import entropy, floored, ratio, spread
from jnn.precision import clipped_integers


class Contingency(NamedTuple):
    """Contingency table (..., classes, clusters): how many examples of a class are in a cluster.

    >>> table = Contingency(jnp.array([[2.0, 0.0], [0.0, 2.0]]))
    >>> float(table.value()), float(table.adjusted_rand_index())
    (1.0, 1.0)
    """

    table: Any

    def homogeneity(self) -> Any:
        """The share of the classes' entropy that the clusters explain: 1 where each has one class only.

        Theil's U, the uncertainty coefficient, of the classes given the clusters.
        """
        classes, _, mutual = self._entropies()
        return ratio(mutual, classes, empty=1.0)

    def completeness(self) -> Any:
        """The share of the clusters' entropy that the classes explain: 1 where each class is in one cluster only.

        Theil's U, the uncertainty coefficient, of the clusters given the classes.
        """
        _, clusters, mutual = self._entropies()
        return ratio(mutual, clusters, empty=1.0)

    def v_measure(self, beta: float = 1.0) -> Any:
        """V-measure: the harmonic mean of homogeneity and completeness, which counts beta times as much.

        See "V-Measure: A Conditional Entropy-Based External Cluster Evaluation Measure", Rosenberg and Hirschberg,
        2007.
        """
        pure, complete = self.homogeneity(), self.completeness()
        return ratio((1 + beta) * pure * complete, beta * pure + complete, empty=0.0)

    def normalized_mutual_information(self) -> Any:
        """Normalized mutual information: over the mean of both entropies, which is the V-measure of beta 1."""
        return self.v_measure()

    def adjusted_rand_index(self) -> Any:
        """Adjusted Rand index: the pairs that both put together, beyond chance; 1 where the partitions are one.

        See "Comparing Partitions", Hubert and Arabie, 1985. Weights count as numbers of examples.
        """
        pairs = lambda count: count * (count - 1) / 2
        both = pairs(self.table).sum((-2, -1))
        classes, clusters = (pairs(self.table.sum(axis)).sum(-1) for axis in (-1, -2))
        chance = ratio(classes * clusters, pairs(self.table.sum((-2, -1))), empty=0.0)
        return ratio(both - chance, (classes + clusters) / 2 - chance, empty=1.0) + 0 * self._entropies()[0]

    def cramers_v(self, *, corrected: bool = False) -> Any:
        """Cramér's V: the association of two nominal variables, from 0 to 1; NaN where one of them does not vary.

        See "Mathematical Methods of Statistics", Cramér, 1946; corrected for its bias, which is upwards in small
        samples, as in "A bias-correction for Cramér's V and Tschuprow's T", Bergsma, 2013.
        """
        square, classes, clusters = self._association(corrected)
        fewer = (classes + clusters - abs(classes - clusters)) / 2
        return ratio(square, fewer - 1) ** 0.5

    def tschuprows_t(self, *, corrected: bool = False) -> Any:
        """Tschuprow's T: as Cramér's V, but 1 only where both variables have as many values; NaN as there.

        See "Principles of the Mathematical Theory of Correlation", Tschuprow, 1939; corrected as Cramér's V is.
        """
        square, classes, clusters = self._association(corrected)
        return ratio(square, floored((classes - 1) * (clusters - 1)) ** 0.5) ** 0.5

    def contingency_coefficient(self) -> Any:
        """Pearson's contingency coefficient: the association of two nominal variables, from 0 to less than 1.

        See "On the Theory of Contingency and Its Relation to Association and Normal Correlation", Pearson, 1904.
        """
        square, _, _ = self._association(corrected=False)
        return (square / (1 + square)) ** 0.5

    def value(self) -> Any:
        """The normalized mutual information, NaN where nothing is counted."""
        return self.normalized_mutual_information()

    def _entropies(self) -> tuple[Any, Any, Any]:
        """Of classes and clusters, and their mutual information, in nats and 0 at least: (...) each."""
        counts = self.table.sum(-1), self.table.sum(-2), self.table.reshape(*self.table.shape[:-2], -1)
        # each over its own sum: the share of a single class is 1, whatever order others are added up in
        classes, clusters, both = (entropy(ratio(count, count.sum(-1, keepdims=True))) for count in counts)
        mutual = classes + clusters - both
        return classes, clusters, floored(mutual)

    def _association(self, corrected: bool) -> tuple[Any, Any, Any]:
        """Phi squared, chi squared over the number of examples, and how many classes and clusters occur: (...) each."""
        number = self.table.sum((-2, -1))
        p = ratio(self.table, number[..., None, None])
        chance = p.sum(-1, keepdims=True) * p.sum(-2, keepdims=True)
        square = ratio((p - chance) ** 2, chance, empty=0.0).sum((-2, -1))
        classes, clusters = ((self.table.sum(axis) != 0).sum(-1) * 1.0 for axis in (-1, -2))
        if corrected:
            bias = lambda a, b: ratio((a - 1) * (b - 1), number - 1)
            square = floored(square - bias(classes, clusters))
            classes, clusters = classes - bias(classes, classes), clusters - bias(clusters, clusters)
        return square, classes, clusters


def contingency(
    clusters: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, num_clusters: int, num_classes: int
) -> Contingency:
    """Contingency table of clusters and classes, of any two nominal variables.

    Args:
      clusters: (...), integers in 0..num_clusters-1.
      labels: the same shape, integers in 0..num_classes-1.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      num_clusters, num_classes: how many there are; those that do not occur change nothing.

    Raises:
      TypeError: clusters or labels are not integers.
      ValueError: shapes differ, or values known to lie out of range.

    >>> clusters, labels = jnp.array([1, 1, 0]), jnp.array([0, 0, 1])
    >>> round(float(contingency(clusters, labels, num_clusters=2, num_classes=2).value()), 4)
    1.0
    """
    for name, x in (("clusters", clusters), ("labels", labels)):
        checks.integers("contingency", x, name=name)
    checks.same_shape("contingency", clusters=clusters, labels=labels)
    weight = spread("contingency", weight, labels)
    known = jnp.ones(labels.shape, bool)
    index = jnp.zeros(labels.shape, jnp.int32)
    for what, given, count in (("labels", labels, num_classes), ("clusters", clusters, num_clusters)):
        x = jnp.where(weight == 0, 0, clipped_integers(given))
        checks.in_range("contingency", x, count, what=what, of=what)
        known &= (x >= 0) & (x < count)
        index = index * count + x
    counts = histogram(jnp.where(known, index, 0), jnp.where(known, weight, jnp.nan), num_classes * num_clusters)
    return Contingency(counts.reshape(num_classes, num_clusters))
