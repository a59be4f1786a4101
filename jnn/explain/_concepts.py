"""Concepts in the activations of a layer: TCAV.

    concept_vector(concept, others) -> vector               the direction in which a concept lies
    concept_activation(head, activations, vector) -> share  how often a score grows in that direction

Laws: the vector is that of a regularized logistic regression, of length 1; of the two sets exchanged it is the
opposite; of a head that is linear, the score's sensitivity is the product of its weights and the vector.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.explain._score import Score, each, example, score
from jnn.precision import wide
from jnn.vectors import unit

STEPS = 25  # of Newton's method
HALVINGS = [0.5**n for n in range(8)]


def concept_vector(concept: jax.Array, others: jax.Array, *, l2: float = 0.01) -> jax.Array:
    """Concept activation vector (CAV): the normal of the plane that divides a concept's activations from others'.

    See "Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation Vectors (TCAV)", Kim
    et al., 2018. The plane is a logistic regression's, found by Newton's method.

    Args:
      concept: (n, ...), activations of a layer for examples that show the concept, floating point.
      others: (m, ...), for examples that do not, such as random ones.
      l2: of half the squared weights, beside the mean loss.

    Returns:
      (...), a vector of length 1 that points to the concept, in concept's dtype.

    Raises:
      TypeError: activations are not floating point.
      ValueError: activations have different shapes, or are empty, or l2 is not above 0.

    >>> vector = concept_vector(jnp.array([[1.0, 0.0], [1.0, 2.0]]), jnp.array([[-1.0, 0.0], [-1.0, 2.0]]))
    >>> [round(v, 3) for v in vector.tolist()]
    [1.0, 0.0]
    """
    concept, others = (example("concept_vector", x, ndim=2) for x in (concept, others))
    if concept.shape[1:] != others.shape[1:]:
        found = f"{checks.describe(concept)} and {checks.describe(others)}"
        raise ValueError(f"concept_vector: expected activations of one layer, (n, ...) and (m, ...), found {found}.")
    l2 = checks.number("concept_vector", "l2", l2, lambda x: x > 0, "above 0", like=concept)
    rows = wide(jnp.concatenate([concept, others]).reshape(len(concept) + len(others), -1))
    sign = jnp.where(jnp.arange(len(rows)) < len(concept), 1.0, -1.0).astype(rows.dtype)
    w = _logistic_regression(jnp.column_stack([rows, jnp.ones_like(sign)]), sign, l2)[:-1]
    return unit(w).reshape(concept.shape[1:]).astype(concept.dtype)


def concept_sensitivity(head: Score, activation: jax.Array, vector: jax.Array) -> jax.Array:
    """Conceptual sensitivity: the derivative of a score in the direction of a concept.

    Args:
      head: the network behind the layer, of one activation (...) to one number.
      activation: (...), of one example, floating point.
      vector: (...), as `concept_vector` gives it.

    Returns:
      A number, in the score's dtype.

    Raises:
      TypeError: the activation is not floating point.
      ValueError: shapes differ, or are empty, or the head's is not one number.

    >>> float(concept_sensitivity(lambda h: (h**2).sum(), jnp.array([1.0, 3.0]), jnp.array([0.0, 1.0])))
    6.0
    """
    activation = example("concept_sensitivity", activation)
    checks.same_shape("concept_sensitivity", activation=activation, vector=vector)
    direction = jnp.asarray(vector, activation.dtype)
    return jax.jvp(score("concept_sensitivity", head), (activation,), (direction,))[1]


def concept_activation(
    head: Score, activations: jax.Array, vector: jax.Array, *, batch_size: int | None = None
) -> jax.Array:
    """Testing with concept activation vectors (TCAV): the share of examples whose score grows towards a concept.

    See `concept_vector`. Of a random vector it may be any number: those of several, drawn from random examples, say
    whether a concept's differs.

    Args:
      head, vector: as in `concept_sensitivity`.
      activations: (n, ...), such as those of all examples of a class.
      batch_size: how many are computed at a time; None for all.

    Returns:
      A number from 0 to 1, float32 at least.

    Raises:
      TypeError, ValueError: as `concept_sensitivity`.

    >>> h = jnp.array([[1.0, 3.0], [1.0, -3.0]])
    >>> float(concept_activation(lambda h: (h**2).sum(), h, jnp.array([0.0, 1.0])))
    0.5
    """
    slope = lambda h: concept_sensitivity(head, h, vector)
    slopes = wide(each(slope, activations, batch_size=batch_size))
    return jnp.mean(slopes > 0, dtype=slopes.dtype)


def _logistic_regression(rows: jax.Array, sign: jax.Array, l2: float) -> jax.Array:
    """Weights, the bias last: Newton's method, whose steps are halved as long as that is better."""
    decay = jnp.full(rows.shape[1], l2, rows.dtype).at[-1].set(0.0)

    def loss(w: jax.Array) -> jax.Array:
        return jnp.mean(jax.nn.softplus(-sign * (rows @ w))) + decay @ jnp.square(w) / 2

    def step(_: int, w: jax.Array) -> jax.Array:
        p = jax.nn.sigmoid(rows @ w)
        hessian = (rows.T * (p * (1 - p))[None]) @ rows / len(rows) + jnp.diag(decay)
        # of the bias alone it may vanish, where all are told apart
        direction = jnp.linalg.solve(hessian + 1e-7 * jnp.eye(len(w), dtype=w.dtype), jax.grad(loss)(w))
        candidates = w[None] - jnp.array(HALVINGS, w.dtype)[:, None] * direction[None]
        losses = jax.vmap(loss)(candidates)
        best = jnp.argmin(losses)
        return jnp.where(losses[best] < loss(w), candidates[best], w)

    return jax.lax.fori_loop(0, STEPS, step, jnp.zeros(rows.shape[1], rows.dtype))
