"""Clusters: how far they agree with classes that are known, and, on the host, how well they are apart.

contingency(clusters, labels)       sums that merge: mutual information, adjusted Rand index, V-measure
silhouette_score(x, clusters)       exact, from all rows at once, on the host
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._counting import histogram
from jnn.metrics._sums import entropy, floored, ratio, spread

BLOCK = 2**10  # rows whose distances to all others are held at once
ROUNDING = 1e-13  # of squared distances: equal rows are 0 apart


class Contingency(NamedTuple):
    """Contingency table (..., classes, clusters): how many examples of a class are in a cluster.

    >>> table = Contingency(np.array([[2.0, 0.0], [0.0, 2.0]]))
    >>> float(table.value()), float(table.adjusted_rand_index())
    (1.0, 1.0)
    """

    table: Any

    def homogeneity(self) -> Any:
        """The share of the classes' entropy that the clusters explain: 1 where each has one class only."""
        classes, _, mutual = self._entropies()
        return ratio(mutual, classes, empty=1.0)

    def completeness(self) -> Any:
        """The share of the clusters' entropy that the classes explain: 1 where each class is in one cluster only."""
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

    def value(self) -> Any:
        """The normalized mutual information, NaN where nothing is counted."""
        return self.normalized_mutual_information()

    def _entropies(self) -> tuple[Any, Any, Any]:
        """Of classes and clusters, and their mutual information, in nats and 0 at least: (...) each."""
        p = ratio(self.table, self.table.sum((-2, -1), keepdims=True))
        classes, clusters, both = entropy(p.sum(-1)), entropy(p.sum(-2)), entropy(p.reshape(*p.shape[:-2], -1))
        mutual = classes + clusters - both
        return classes, clusters, floored(mutual)


def contingency(
    clusters: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, num_clusters: int, num_classes: int
) -> Contingency:
    """Contingency table of clusters and classes, for mutual information, adjusted Rand index and V-measure.

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
        x = jnp.where(weight == 0, 0, given.astype(jnp.int32))
        checks.in_range("contingency", x, count, what=what, of=what)
        known &= (x >= 0) & (x < count)
        index = index * count + x
    counts = histogram(jnp.where(known, index, 0), jnp.where(known, weight, jnp.nan), num_classes * num_clusters)
    return Contingency(counts.reshape(num_classes, num_clusters))


def silhouette_score(x: jax.Array, clusters: jax.Array, weight: jax.Array | None = None) -> float:
    """Silhouette of whole arrays: how much nearer rows are to their own cluster than to the next; on the host.

    See "Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster Analysis", Rousseeuw, 1987.

    Args:
      x: (rows, features), floating point; distances are Euclidean.
      clusters: (rows,), integers.
      weight: (rows,); 0 for padding, None for 1 each: 2 is that of two equal rows.

    Returns:
      The mean silhouette in float64, from -1 to 1: 0 of a row that is alone; NaN of fewer than two clusters,
      and where a row that counts has NaN.

    Raises:
      TypeError: x is not floating point, or clusters are not integers.
      ValueError: shapes do not fit.

    >>> x = jnp.array([[0.0], [1.0], [10.0], [11.0]])
    >>> round(silhouette_score(x, jnp.array([0, 0, 1, 1])), 3)
    0.9
    """
    checks.floats("silhouette_score", x)
    checks.integers("silhouette_score", clusters, name="clusters")
    if x.ndim != 2 or clusters.shape != x.shape[:1]:
        raise ValueError(
            f"silhouette_score: expected x (rows, features) and clusters (rows,), found {checks.describe(x)} and "
            f"{checks.describe(clusters)}."
        )
    weights = np.asarray(spread("silhouette_score", weight, clusters), np.float64)
    rows, weights, own = (np.asarray(a)[weights != 0] for a in (x, weights, clusters))
    rows = np.asarray(rows, np.float64)
    names, own = np.unique(own, return_inverse=True)
    if len(names) < 2 or np.isnan(rows).any():
        return float("nan")
    rows = rows - rows.mean(0)  # distances keep their digits far from 0
    member = weights[:, None] * (own[:, None] == np.arange(len(names)))
    parts = range(0, len(rows), BLOCK)
    each = [_silhouettes(rows[i : i + BLOCK], own[i : i + BLOCK], rows, member) for i in parts]
    return float(np.average(np.concatenate(each), weights=weights))


def _silhouettes(a: np.ndarray, own: np.ndarray, b: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Of some rows a, whose clusters are `own`, among all rows b."""
    norms = (a * a).sum(-1)[:, None] + (b * b).sum(-1)
    squares = norms - 2 * a @ b.T
    sums = np.sqrt(np.where(squares > ROUNDING * norms, squares, 0)) @ member
    at = np.arange(len(a)), own
    sizes = member.sum(0)
    inner = ratio(sums[at], np.maximum(sizes[own] - 1, 0), empty=0.0)
    others = sums / sizes
    others[at] = np.inf
    nearest = others.min(-1)
    width = ratio(nearest - inner, np.maximum(nearest, inner), empty=0.0)
    return np.where(sizes[own] <= 1, 0.0, width)
