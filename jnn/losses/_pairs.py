"""Losses of pairs: those that belong together are drawn near, others are pushed apart up to a margin.

    contrastive_loss(first, second, same)           squared distances of embeddings
    cosine_embedding_loss(first, second, same)      cosines of embeddings
    hinge_embedding_loss(distances, same)           distances of any kind

`same` is 1 or true where the two belong together, 0 or false where not (torch has 1 and -1); other values are an error
where known, and NaN under `jit`. Gradients are finite, and 0 between equal embeddings.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import fitting, positive
from jnn.precision import wide
from jnn.vectors import length, unit


def contrastive_loss(
    first: jax.Array, second: jax.Array, same: jax.Array, *, margin: jax.Array | float = 1.0
) -> jax.Array:
    """Contrastive loss of pairs: half the squared distance of like ones, of others half the square that a margin lacks.

    See "Dimensionality Reduction by Learning an Invariant Mapping", Hadsell, Chopra and LeCun, 2006.

    Args:
      first, second: (..., d), floating point.
      same: (...), 1 or true where the two belong together, 0 or false where not.
      margin: above 0.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, margin <= 0, or `same` known to be neither 0 nor 1.

    >>> contrastive_loss(jnp.zeros((2, 1)), jnp.ones((2, 1)), jnp.array([1, 0]), margin=3.0)
    Array([0.5, 2. ], dtype=float32)
    """
    x, y = _embeddings("contrastive_loss", first, second)
    margin = positive("contrastive_loss", "margin", margin, x)
    distance = length(x - y)
    apart = jax.nn.relu(margin - distance)
    return 0.5 * jnp.square(_by_kind("contrastive_loss", same, distance, apart))


def cosine_embedding_loss(
    first: jax.Array, second: jax.Array, same: jax.Array, *, margin: jax.Array | float = 0.0
) -> jax.Array:
    """Cosine embedding loss: the cosine distance of pairs that are alike, of others their cosine above a margin.

    See "Signature Verification using a 'Siamese' Time Delay Neural Network", Bromley et al., 1993.

    Args:
      first, second: (..., d), floating point, of any length.
      same: (...), 1 or true where the two belong together, 0 or false where not.
      margin: in [-1, 1].

    Returns:
      (...): `1 - cosine` where same, else `max(0, cosine - margin)`; the cosine with a vector of zeros is 0.
      Gradients go with 1 / length: they leave float16 for vectors shorter than 1e-4.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, margin is outside [-1, 1], or `same` known to be neither 0 nor 1.

    >>> x, y = jnp.array([[3.0, 0.0], [2.0, 0.0]]), jnp.array([[0.0, 1.0], [5.0, 0.0]])
    >>> cosine_embedding_loss(x, y, jnp.array([1, 0]), margin=0.25)
    Array([1.  , 0.75], dtype=float32)
    """
    name = "cosine_embedding_loss"
    x, y = _embeddings(name, first, second)
    margin = checks.number(name, "margin", margin, lambda m: (m >= -1) & (m <= 1), "in [-1, 1]", like=x)
    cosine = jnp.sum(unit(x) * unit(y), axis=-1)
    return _by_kind(name, same, 1 - cosine, jax.nn.relu(cosine - margin))


def hinge_embedding_loss(distances: jax.Array, same: jax.Array, *, margin: jax.Array | float = 1.0) -> jax.Array:
    """Hinge embedding loss of pairs: the distance of like ones, of others what it lacks to a margin.

    See "Deep Learning via Semi-Supervised Embedding", Weston, Ratle and Collobert, 2008.

    Args:
      distances: (...), floating point, of any kind, such as the L1 distance of two embeddings.
      same: the same shape, 1 or true where the two belong together, 0 or false where not.
      margin: above 0.

    Returns:
      (...): the distance where same, else `max(0, margin - distance)`.

    Raises:
      TypeError: distances are not floating point.
      ValueError: shapes differ, margin <= 0, or `same` known to be neither 0 nor 1.

    >>> hinge_embedding_loss(jnp.array([0.5, 0.25, 3.0]), jnp.array([1, 0, 0]))
    Array([0.5 , 0.75, 0.  ], dtype=float32)
    """
    name = "hinge_embedding_loss"
    checks.floats(name, distances, ndim=0)
    x = wide(distances)
    return _by_kind(name, same, x, jax.nn.relu(positive(name, "margin", margin, x) - x))


def _embeddings(name: str, first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
    for x in (first, second):
        checks.floats(name, x)
    checks.same_shape(name, first=first, second=second)
    return wide(first), wide(second)


def _by_kind(name: str, same: jax.Array, near: jax.Array, apart: jax.Array) -> jax.Array:
    """One cost where a pair belongs together, the other where not, NaN where `same` says neither."""
    checks.array(name, same, "same")
    if same.shape != near.shape:
        raise ValueError(f"{name}: expected same {near.shape}, one a pair, found {checks.describe(same)}.")
    known = fitting(name, "same", same, lambda s: (s == 0) | (s == 1), "of 0 and 1", like=near)
    return jnp.where(jnp.isnan(known), jnp.nan, jnp.where(known == 1, near, apart))
