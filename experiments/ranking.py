"""Rankings of all items: where the one that is held out stands among everything that a user does not know yet.

A sampled ranking, among a hundred others, may order methods otherwise: "On Sampled Metrics for Item Recommendation",
Krichene and Rendle, 2020.
"""

from __future__ import annotations

import jax

import jnn
from jnn.metrics import Mean

K = 10


def full_ranking(
    scores: jax.Array, y: jax.Array, seen: jax.Array, weight: jax.Array | None = None, *, k: int = K
) -> dict[str, Mean]:
    """Hit rate and NDCG at k of one held-out item (b,) by scores (b, items), among those not seen (b, items).

    >>> scores, y = jax.numpy.array([[3.0, 2.0, 1.0]]), jax.numpy.array([1])
    >>> float(full_ranking(scores, y, jax.numpy.array([[1, 0, 0]]), k=1)["hit_rate"].value())
    1.0
    """
    held = jax.nn.one_hot(y, scores.shape[-1])
    how = {"weight": weight, "k": min(k, scores.shape[-1]), "mask": seen == 0}
    return {"hit_rate": jnn.metrics.hit_rate(scores, held, **how), "ndcg": jnn.metrics.ndcg(scores, held, **how)}
