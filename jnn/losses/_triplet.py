"""Triplet losses of embeddings: what belongs together is nearer than what does not, by a margin.

    triplet_margin_loss(anchors, positives, negatives)     triplets that are given
    batch_hard_triplet_loss(x, labels)                     for each row its farthest positive and nearest negative
    semi_hard_triplet_loss(x, labels)                      for each positive the nearest negative that is farther

Laws: as of the contrastive losses: with `mask`, a row that is not there costs 0 and is nobody's triplet; mined rows see
each other, so under micro-batches each part sees its own rows only. Of given triplets each row stands alone: padding
has weight 0. Gradients are finite, and 0 between equal embeddings.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._embeddings import rows, same_label, similarities
from jnn.losses._inputs import positive
from jnn.precision import wide
from jnn.vectors import length, unit


def triplet_margin_loss(
    anchors: jax.Array, positives: jax.Array, negatives: jax.Array, *, margin: jax.Array | float = 1.0
) -> jax.Array:
    """Triplet loss: by how much a positive is not nearer than a negative, and a margin, in Euclidean distance.

    See "Learning Fine-grained Image Similarity with Deep Ranking", Wang et al., 2014.

    Args:
      anchors, positives, negatives: (..., d), floating point.
      margin: above 0.

    Returns:
      (...): `max(0, |anchor - positive| - |anchor - negative| + margin)`.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes differ, or margin <= 0.

    >>> triplet_margin_loss(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]]), jnp.array([[3.0, 4.0]]), margin=5.0)
    Array([1.], dtype=float32)
    """
    for x in (anchors, positives, negatives):
        checks.floats("triplet_margin_loss", x)
    checks.same_shape("triplet_margin_loss", anchors=anchors, positives=positives, negatives=negatives)
    margin = positive("triplet_margin_loss", "margin", margin, wide(anchors))
    near, far = (length(wide(anchors) - wide(x)) for x in (positives, negatives))
    return jax.nn.relu(near - far + margin)


def batch_hard_triplet_loss(
    embeddings: jax.Array, labels: jax.Array, *, margin: jax.Array | float = 1.0, mask: jax.Array | None = None
) -> jax.Array:
    """Batch-hard triplet loss: each row with its farthest positive and nearest negative of the batch.

    See "In Defense of the Triplet Loss for Person Re-Identification", Hermans, Beyer and Leibe, 2017.

    Args:
      embeddings: (..., n, d), floating point.
      labels: (..., n), integers.
      margin: above 0.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is in the triplets
        of the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked, or without a positive or a negative.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, or margin <= 0.

    >>> x = jnp.array([[0.0], [1.0], [3.0]])
    >>> batch_hard_triplet_loss(x, jnp.array([0, 0, 1]), margin=2.0)
    Array([0., 1., 0.], dtype=float32)
    """
    there, x = rows("batch_hard_triplet_loss", mask, embeddings=embeddings)
    belong, differ = same_label("batch_hard_triplet_loss", labels, there)
    # who is far is asked of dot products, up to what a row has in common; the distances to those two are taken anew
    y = jax.lax.stop_gradient(_balanced(x, there))
    far = jnp.sum(jnp.square(y), axis=-1)[..., None, :] - 2 * similarities(y, y)
    hardest = (
        jnp.argmax(jnp.where(belong, far, -jnp.inf), axis=-1),
        jnp.argmin(jnp.where(differ, far, jnp.inf), axis=-1),
    )
    values = triplet_margin_loss(x, *(jnp.take_along_axis(x, i[..., None], axis=-2) for i in hardest), margin=margin)
    return jnp.where(jnp.any(belong, axis=-1) & jnp.any(differ, axis=-1), values, 0)


def _balanced(x: jax.Array, there: jax.Array) -> jax.Array:
    """x (..., n, d) about its mean and at most 1, so that squares neither overflow nor cancel more than they need."""
    there, count = there[..., None], jnp.maximum(jnp.sum(there, axis=-1), 1)[..., None, None]
    x = x / jnp.maximum(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True), jnp.finfo(x.dtype).tiny)
    return jnp.where(there, x - jnp.sum(x, axis=-2, keepdims=True) / count, 0)


def semi_hard_triplet_loss(
    embeddings: jax.Array, labels: jax.Array, *, margin: jax.Array | float = 0.2, mask: jax.Array | None = None
) -> jax.Array:
    """Semi-hard triplet loss: each positive with the nearest negative farther than it; the mean over a row's positives.

    Distances are the squared ones of directions, 2 - 2 cosine. Where no negative is farther, the farthest is taken.
    See "FaceNet: A Unified Embedding for Face Recognition and Clustering", Schroff, Kalenichenko and Philbin, 2015.

    Args:
      embeddings: (..., n, d), floating point.
      labels: (..., n), integers.
      margin: above 0.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is in the triplets
        of the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked, or without a positive or a negative.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, or margin <= 0.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> semi_hard_triplet_loss(x, jnp.array([0, 0, 1]), margin=3.0)
    Array([1., 1., 0.], dtype=float32)
    """
    there, x = rows("semi_hard_triplet_loss", mask, embeddings=embeddings)
    belong, differ = same_label("semi_hard_triplet_loss", labels, there)
    margin = positive("semi_hard_triplet_loss", "margin", margin, x)
    far = 2 - 2 * similarities(unit(x), unit(x))
    negatives = jnp.sort(jnp.where(differ, far, jnp.inf), axis=-1)  # with it memory stays n^2, not n^3
    search = jnp.vectorize(lambda ordered, x: jnp.searchsorted(ordered, x, side="right"), signature="(n),(m)->(m)")
    last = jnp.sum(differ, axis=-1, keepdims=True) - 1
    next_farther = jnp.clip(search(*map(jax.lax.stop_gradient, (negatives, far))), 0, jnp.maximum(last, 0))
    counts = belong & (last >= 0)
    gaps = far - jnp.take_along_axis(jnp.where(last >= 0, negatives, 0), next_farther, axis=-1)
    costs = jnp.where(counts, jax.nn.relu(gaps + margin), 0)
    return jnp.sum(costs, axis=-1) / jnp.maximum(jnp.sum(counts, axis=-1), 1)
