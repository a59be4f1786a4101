"""Contrastive losses: what belongs together is told from the other rows of the batch, one number per row.

    info_nce(queries, keys)                     one of many: InfoNCE, with the batch's other keys and those of a queue
    nt_xent(first, second)                      two views of each row among all views: SimCLR
    supervised_contrastive_loss(x, labels)      all rows of one class
    n_pairs_loss(anchors, positives)            dot products instead of cosines

All but `n_pairs_loss` compare directions (cosines). The matrices are (..., n, n), of embeddings (..., n, d).

Laws: a row that `mask` leaves out (padding: `mask=batch["weight"] > 0`) costs 0 and is nobody's negative, whatever it
holds. Without a mask every row is there: padding, which a step makes copies of a row that counts, is a negative of all
others, and its weight of 0 takes away what it costs itself, not that. Rows see each other: under micro-batches, lanes
or `pmap` each part sees its own rows only, so that such parts do not add up to the whole; on a mesh all rows are seen.
Finite, gradients included, at 0 and for embeddings of any length (of `n_pairs_loss`: where the dot products are).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._embeddings import eye, own_column, rows, same_label, similarities
from jnn.losses._inputs import positive
from jnn.vectors import unit


def info_nce(
    queries: jax.Array,
    keys: jax.Array,
    *,
    negatives: jax.Array | None = None,
    temperature: jax.Array | float = 0.1,
    mask: jax.Array | None = None,
) -> jax.Array:
    """InfoNCE: cross-entropy of each query's own key among the keys of all rows, and further negatives.

    See "Representation Learning with Contrastive Predictive Coding", van den Oord, Li and Vinyals, 2018; for a queue of
    negatives "Momentum Contrast for Unsupervised Visual Representation Learning", He et al., 2020.

    Args:
      queries: (..., n, d), floating point.
      keys: the same shape: row i belongs to query i.
      negatives: (..., m, d), further keys that belong to no query.
      temperature: what cosines are divided by.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is a negative of
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, or temperature <= 0.

    >>> round(float(info_nce(jnp.eye(2), jnp.eye(2), temperature=1.0)[0]), 4)  # log(1 + 1 / e)
    0.3133
    """
    there, q, k = rows("info_nce", mask, queries=queries, keys=keys)
    temperature = positive("info_nce", "temperature", temperature, q)
    if negatives is not None:
        checks.floats("info_nce", negatives, ndim=2)
        if negatives.ndim != k.ndim or negatives.shape[-1:] + negatives.shape[:-2] != k.shape[-1:] + k.shape[:-2]:
            wanted = (*k.shape[:-2], "m", k.shape[-1])
            raise ValueError(f"info_nce: expected negatives {wanted}, found {checks.describe(negatives)}.")
        k = jnp.concatenate([k, negatives.astype(k.dtype)], axis=-2)
    return own_column(similarities(unit(q), unit(k)) / temperature, there)


def nt_xent(
    first: jax.Array, second: jax.Array, *, temperature: jax.Array | float = 0.5, mask: jax.Array | None = None
) -> jax.Array:
    """NT-Xent, SimCLR's loss: each view's other view among all 2n - 1 views; the mean of a row's two views.

    See "A Simple Framework for Contrastive Learning of Visual Representations", Chen et al., 2020.

    Args:
      first, second: (..., n, d), floating point, the two views of each row.
      temperature: what cosines are divided by.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is a negative of
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, or temperature <= 0.

    >>> nt_xent(jnp.eye(2), jnp.eye(2), temperature=1.0).round(4)  # log(1 + 2 / e)
    Array([0.5514, 0.5514], dtype=float32)
    """
    there, a, b = rows("nt_xent", mask, first=first, second=second)
    temperature = positive("nt_xent", "temperature", temperature, a)
    # each side: the other views first, so that a row's own is on the diagonal, then those of its own kind but itself
    views = jnp.concatenate([unit(a), unit(b)], axis=-2)
    n = a.shape[-2]
    total = []
    for one, others in ((views[..., :n, :], jnp.roll(views, -n, axis=-2)), (views[..., n:, :], views)):
        cross, within = jnp.split(similarities(one, others) / temperature, 2, axis=-1)
        own_kind = jnp.where(there[..., None, :] & ~eye(within), within, -jnp.inf)
        total.append(own_column(jnp.concatenate([cross, own_kind], axis=-1), there))
    return (total[0] + total[1]) / 2


def supervised_contrastive_loss(
    embeddings: jax.Array,
    labels: jax.Array,
    *,
    temperature: jax.Array | float = 0.1,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Supervised contrastive loss: the mean cross-entropy of a row's positives, rows of its class, among all others.

    See "Supervised Contrastive Learning", Khosla et al., 2020: its L_out, without the factor of temperatures.

    Args:
      embeddings: (..., n, d), floating point; several views of one example are several rows of one label.
      labels: (..., n), integers.
      temperature: what cosines are divided by.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding pairs with
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked or alone in its class.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, or temperature <= 0.

    >>> supervised_contrastive_loss(jnp.ones((3, 2)), jnp.array([0, 0, 1])).round(4)
    Array([0.6931, 0.6931, 0.    ], dtype=float32)
    """
    there, x = rows("supervised_contrastive_loss", mask, embeddings=embeddings)
    belong, differ = same_label("supervised_contrastive_loss", labels, there)
    temperature = positive("supervised_contrastive_loss", "temperature", temperature, x)
    logits = similarities(unit(x), unit(x)) / temperature
    count = jnp.sum(belong, axis=-1)
    # of a row alone, itself stands in: no sum over nothing
    seen = jnp.where(belong | differ | (eye(logits) & (count == 0)[..., None]), logits, -jnp.inf)
    mean = jnp.sum(jnp.where(belong, logits, 0), axis=-1) / jnp.maximum(count, 1)
    return jnp.where(count > 0, jax.nn.logsumexp(seen, axis=-1) - mean, 0)


def n_pairs_loss(anchors: jax.Array, positives: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """N-pairs loss: cross-entropy of each anchor's positive among all rows' positives, of plain dot products.

    See "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", Sohn, 2016, whose rows are of different
    classes, and which adds a small penalty on the squared lengths.

    Args:
      anchors, positives: (..., n, d), floating point; row i of one belongs to row i of the other.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is a negative of
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): one number per row, 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit.

    >>> round(float(n_pairs_loss(jnp.eye(2), jnp.eye(2))[0]), 4)
    0.3133
    """
    there, x, y = rows("n_pairs_loss", mask, anchors=anchors, positives=positives)
    return own_column(similarities(x, y), there)
