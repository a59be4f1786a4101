"""Losses of classes by their places: centers that follow their classes, and prototypes of a few examples.

    center_loss, update_centers         squared distance to the own class's center, a memory
    prototypes, prototypical            cross-entropy of distances to means of support examples

Laws: labels out of range are a ValueError where values are known, and NaN under `jit` (of updates and prototypes: such
rows count for nothing); float32 at least.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._classification import cross_entropy
from jnn.losses._embeddings import positive, present
from jnn.precision import take, wide


def center_loss(embeddings: jax.Array, centers: jax.Array, labels: jax.Array) -> jax.Array:
    """Center loss: half the squared distance to the center of the own class; beside a softmax loss, with a weight.

    See "A Discriminative Feature Learning Approach for Deep Face Recognition", Wen et al., 2016.

    Args:
      embeddings: (..., d), floating point.
      centers: (classes, d): a memory that `update_centers` moves, and to which no gradient goes.
      labels: (...), integers in 0..classes-1.

    Returns:
      (...): one number per label.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to lie out of range.

    >>> center_loss(jnp.array([[3.0, 4.0]]), jnp.zeros((1, 2)), jnp.array([0]))
    Array([12.5], dtype=float32)
    """
    _check_places("center_loss", embeddings, labels, centers.shape[0])
    own = take(jax.lax.stop_gradient(wide(centers)), labels)
    return 0.5 * jnp.sum(jnp.square(wide(embeddings) - own), axis=-1)


def update_centers(
    centers: jax.Array,
    embeddings: jax.Array,
    labels: jax.Array,
    *,
    rate: jax.Array | float = 0.5,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Centers after a batch: each moves towards the embeddings of its class, `rate * sum(x - c) / (1 + count)`.

    Args:
      centers: (classes, d), in float32 at least.
      embeddings, labels: as for `center_loss`.
      rate: above 0; alpha in the paper.
      mask: (...), true or not 0 where a row is there.

    Returns:
      (classes, d), without gradient.

    Raises:
      TypeError, ValueError: as for `center_loss`, or rate <= 0.

    >>> update_centers(jnp.zeros((2, 1)), jnp.array([[4.0]]), jnp.array([1])).tolist()
    [[0.0], [1.0]]
    """
    _check_places("update_centers", embeddings, labels, centers.shape[0])
    rate = positive("update_centers", "rate", rate, wide(centers))
    total, count = _class_sums(embeddings, labels, centers.shape[0], present("update_centers", mask, labels.shape))
    moved = wide(centers) + rate * (total - count * wide(centers)) / (1 + count)
    return jax.lax.stop_gradient(moved)


def prototypes(support: jax.Array, labels: jax.Array, classes: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Prototypes: the mean embedding of each class's support examples.

    Args:
      support: (n, d), floating point.
      labels: (n,), integers in 0..classes-1.
      classes: how many.
      mask: (n,), true or not 0 where a row is there.

    Returns:
      (classes, d), in float32 at least; 0 for a class without examples.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to lie out of range.

    >>> prototypes(jnp.array([[1.0], [3.0], [5.0]]), jnp.array([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    _check_places("prototypes", support, labels, classes)
    total, count = _class_sums(support, labels, classes, present("prototypes", mask, labels.shape))
    return total / jnp.maximum(count, 1)


def prototypical(queries: jax.Array, means: jax.Array, labels: jax.Array) -> jax.Array:
    """Prototypical loss: cross-entropy of softmax(-squared distance to each prototype).

    See "Prototypical Networks for Few-shot Learning", Snell, Swersky and Zemel, 2017.

    Args:
      queries: (..., d), floating point.
      means: (classes, d), as `prototypes` makes them.
      labels: (...), integers in 0..classes-1.

    Returns:
      (...): one number per query.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to lie out of range.

    >>> prototypical(jnp.array([[1.0]]), jnp.array([[0.0], [2.0]]), jnp.array([0])).round(4)
    Array([0.6931], dtype=float32)
    """
    checks.floats("prototypical", queries)
    checks.floats("prototypical", means, ndim=2)
    _check_places("prototypical", queries, labels, means.shape[0])
    checks.trailing("prototypical", queries, means.shape[1:])
    # without the query's own square, which all classes share: |m|^2 - 2 x m
    square = jnp.sum(jnp.square(wide(means)), axis=-1).reshape((1,) * labels.ndim + (-1,))
    return cross_entropy(2 * jnp.einsum("...d,cd->...c", wide(queries), wide(means)) - square, labels)


def _check_places(name: str, x: jax.Array, labels: jax.Array, classes: int) -> None:
    checks.floats(name, x)
    checks.integers(name, labels, name="labels")
    if labels.shape != x.shape[:-1]:
        raise ValueError(f"{name}: expected labels {x.shape[:-1]}, found {checks.describe(labels)}.")
    checks.in_range(name, labels, classes)


def _class_sums(x: jax.Array, labels: jax.Array, classes: int, there: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum of each class's embeddings (classes, d), and their number (classes, 1)."""
    flat, counts = wide(x).reshape(-1, x.shape[-1]), there.reshape(-1)
    own = jax.nn.one_hot(labels.reshape(-1), classes, dtype=flat.dtype) * counts[:, None]
    return own.T @ jnp.where(counts[:, None], flat, 0), jnp.sum(own, axis=0)[:, None]
