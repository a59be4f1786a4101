"""Angular margins: softmax losses of the directions of embeddings, the own class made harder by a margin.

    arcface         cos(angle + margin)
    cosface         cos(angle) - margin
    sphereface      |x| cos(margin * angle)

A class's direction is a row of `table` (classes, d). Laws: labels out of range are a ValueError where values are known,
and NaN under `jit`; finite, with gradients, for embeddings of any length, 0 among them.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._cross_entropy import cross_entropy
from jnn.losses._inputs import one_of, positive
from jnn.precision import wide
from jnn.vectors import length, unit

SHARP = 1e-6  # sines are kept above its root: at 0 their gradient is infinite


def arcface(
    embeddings: jax.Array,
    table: jax.Array,
    labels: jax.Array,
    *,
    margin: jax.Array | float = 0.5,
    scale: jax.Array | float = 64.0,
) -> jax.Array:
    """ArcFace, additive angular margin loss: cross-entropy of `scale * cos(angle + margin)` for the own class.

    Where angle + margin exceeds pi, the cosine goes on falling, as cos(angle) - margin sin(margin), as in the authors'
    code. See "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", Deng et al., 2019.

    Args:
      embeddings: (..., d), floating point.
      table: (classes, d), a direction for each class.
      labels: (...), integers in 0..classes-1.
      margin: in radians, in [0, pi).
      scale: what cosines are multiplied by.

    Returns:
      (...): one number per label.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range, or margin or scale is.

    >>> round(float(arcface(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), margin=0.0, scale=1.0)[0]), 4)
    0.3133
    """
    cosine = _cosines("arcface", embeddings, table)
    fits = lambda m: (m >= 0) & (m < math.pi)
    margin = checks.number("arcface", "margin", margin, fits, "in [0, pi)", like=cosine)
    sine = jnp.sqrt(jnp.maximum(1 - jnp.square(cosine), SHARP))
    turned = cosine * jnp.cos(margin) - sine * jnp.sin(margin)
    own = jnp.where(cosine > -jnp.cos(margin), turned, cosine - margin * jnp.sin(margin))
    return _of_classes("arcface", cosine, own, labels, scale)


def cosface(
    embeddings: jax.Array,
    table: jax.Array,
    labels: jax.Array,
    *,
    margin: jax.Array | float = 0.35,
    scale: jax.Array | float = 64.0,
) -> jax.Array:
    """CosFace, large margin cosine loss: cross-entropy of `scale * (cos(angle) - margin)` for the own class.

    See "CosFace: Large Margin Cosine Loss for Deep Face Recognition", Wang et al., 2018.

    Args:
      embeddings: (..., d), floating point.
      table: (classes, d), a direction for each class.
      labels: (...), integers in 0..classes-1.
      margin: 0 or more.
      scale: what cosines are multiplied by.

    Returns:
      (...): one number per label.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range, or margin or scale is.

    >>> cosface(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), margin=1.0, scale=1.0).round(4)
    Array([0.6931, 0.6931], dtype=float32)
    """
    cosine = _cosines("cosface", embeddings, table)
    margin = checks.number("cosface", "margin", margin, lambda m: m >= 0, ">= 0", like=cosine)
    return _of_classes("cosface", cosine, cosine - margin, labels, scale)


def sphereface(embeddings: jax.Array, table: jax.Array, labels: jax.Array, *, margin: int = 4) -> jax.Array:
    """SphereFace, angular softmax: cross-entropy of `|x| cos(margin * angle)`, made monotone, for the own class.

    See "SphereFace: Deep Hypersphere Embedding for Face Recognition", Liu et al., 2017; without its annealing.

    Args:
      embeddings: (..., d), floating point; their lengths count, as those of the table's rows do not.
      table: (classes, d), a direction for each class.
      labels: (...), integers in 0..classes-1.
      margin: how many times the angle; 1 is none.

    Returns:
      (...): one number per label.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range, or margin < 1.

    >>> round(float(sphereface(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), margin=1)[0]), 4)
    0.3133
    """
    if margin < 1:
        raise ValueError(f"sphereface: expected a margin of 1 or more, found {margin}.")
    cosine = _cosines("sphereface", embeddings, table)
    before, multiple = jnp.ones_like(cosine), cosine  # cos(m a) by Chebyshev's recurrence: no angle, no infinite slope
    for _ in range(margin - 1):
        before, multiple = multiple, 2 * cosine * multiple - before
    turns = sum(jnp.where(cosine < math.cos(k * math.pi / margin), 1, 0) for k in range(1, margin))
    own = jnp.where(turns % 2 == 0, 1, -1) * multiple - 2 * turns if margin > 1 else cosine
    return _of_classes("sphereface", cosine, own, labels, length(wide(embeddings))[..., None])


def _cosines(name: str, embeddings: jax.Array, table: jax.Array) -> jax.Array:
    """The cosines of each embedding with each class: (..., classes)."""
    checks.floats(name, embeddings)
    checks.floats(name, table, ndim=2)
    if table.shape[1:] != embeddings.shape[-1:]:
        wanted = ("classes", embeddings.shape[-1])
        raise ValueError(f"{name}: expected a table {wanted}, a row for each class, found {checks.describe(table)}.")
    return jnp.einsum("...d,cd->...c", unit(embeddings), unit(table))


def _of_classes(name: str, cosine: jax.Array, own: jax.Array, labels: jax.Array, scale: jax.Array | float) -> jax.Array:
    """Cross-entropy of scaled cosines, and of `own` for the class of the label."""
    if not isinstance(scale, jax.Array) or not scale.ndim:
        scale = positive(name, "scale", scale, cosine)
    _, mine = one_of(name, cosine, labels)
    return cross_entropy(jnp.where(mine, own, cosine) * scale, labels)
