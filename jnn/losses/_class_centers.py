"""Center loss: classes have places in the space of embeddings, centers that follow their examples.

    center_loss, update_centers         squared distance to the own class's center, a memory

Laws: labels out of range are a ValueError where values are known, and NaN under `jit` (of updates: such rows count for
nothing); float32 at least. For prototypes see `jnn.models.prototypical_logits`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import masked, positive
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
    labels = _check_places("center_loss", embeddings, labels, centers.shape[0])
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

    See "A Discriminative Feature Learning Approach for Deep Face Recognition", Wen et al., 2016.

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
    labels = _check_places("update_centers", embeddings, labels, centers.shape[0])
    rate = positive("update_centers", "rate", rate, wide(centers))
    total, count = _class_sums(embeddings, labels, centers.shape[0], masked("update_centers", mask, labels.shape))
    moved = wide(centers) + rate * (total - count * wide(centers)) / (1 + count)
    return jax.lax.stop_gradient(moved)


def _check_places(name: str, x: jax.Array, labels: jax.Array, classes: int) -> jax.Array:
    """The labels, one for each row of x."""
    checks.floats(name, x)
    whole = checks.integers(name, labels, name="labels")
    if labels.shape != x.shape[:-1]:
        raise ValueError(f"{name}: expected labels {x.shape[:-1]}, found {checks.describe(labels)}.")
    checks.in_range(name, labels, classes)
    return whole


def _class_sums(x: jax.Array, labels: jax.Array, classes: int, there: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum of each class's embeddings (classes, d), and their number (classes, 1)."""
    flat, counts = wide(x).reshape(-1, x.shape[-1]), there.reshape(-1)
    own = jax.nn.one_hot(labels.reshape(-1), classes, dtype=flat.dtype) * counts[:, None]
    return own.T @ jnp.where(counts[:, None], flat, 0), jnp.sum(own, axis=0)[:, None]
