"""How well clusters are apart: the silhouette, from all rows at once, on the host. `contingency` has their classes."""

from __future__ import annotations

import jax
import numpy as np

from jnn import checks
from jnn.metrics._sums import ratio, spread

BLOCK = 2**10  # rows whose distances to all others are held at once
ROUNDING = 1e-13  # of squared distances: equal rows are 0 apart


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

    >>> x = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> round(silhouette_score(x, np.array([0, 0, 1, 1])), 3)
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
