"""Heads that compare: a prototype of each class for learning from a few examples, and two things as alike or not.

    prototypical_logits(x, prototypes(support, labels, classes))    for `jnn.losses.cross_entropy`
    matching_logits(x, support, labels, classes)                    likewise
    siamese(p, a, b) -> logit of "the same"

Both read what a model has made of its inputs. Laws: a row of weight 0 is not there; a and b may change places.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import linear, linear_spec
from jnn.param import Params, Spec
from jnn.precision import wide
from jnn.vectors import unit


def prototypes(support: jax.Array, labels: jax.Array, classes: int, *, weight: jax.Array | None = None) -> jax.Array:
    """Prototypes: the mean of the vectors of each class.

    See "Prototypical Networks for Few-shot Learning", Snell, Swersky and Zemel, 2017.

    Args:
      support: (..., n, d), floating point: what a model made of the examples.
      labels: (..., n), integers in 0..classes-1.
      classes: how many there are.
      weight: (..., n), how much each example counts; 1 by default.

    Returns:
      (..., classes, d), in support's dtype; 0 of a class without examples.

    Raises:
      TypeError: support is not floating point, or labels are not integers.
      ValueError: labels or weight are not one of each example, or labels known to lie out of range.

    >>> prototypes(jnp.array([[1.0], [3.0], [5.0]]), jnp.array([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    checks.floats("prototypes", support, ndim=2)
    whole = checks.integers("prototypes", labels, ndim=1, name="labels")
    checks.in_range("prototypes", labels, classes)
    weight = jnp.ones(labels.shape) if weight is None else weight
    if not labels.shape == weight.shape == support.shape[:-1]:
        raise ValueError(
            f"prototypes: expected labels and weight {support.shape[:-1]}, one of each example; found "
            f"{checks.describe(labels)} and {checks.describe(weight)}."
        )
    h = wide(support)
    share = jax.nn.one_hot(whole, classes, dtype=h.dtype) * weight[..., None].astype(h.dtype)
    h = jnp.where(weight[..., None] == 0, 0, h)
    count = jnp.sum(share, axis=-2)[..., None]
    sums = jnp.einsum("...nc,...nd->...cd", share, h)
    return (sums / jnp.where(count == 0, 1, count)).astype(support.dtype)


def prototypical_logits(x: jax.Array, of_classes: jax.Array) -> jax.Array:
    """Prototypical logits: minus the squared distance of a vector from the prototype of each class.

    See "Prototypical Networks for Few-shot Learning", Snell, Swersky and Zemel, 2017: its loss is their cross-entropy.

    Args:
      x: (..., n, d), floating point.
      of_classes: (..., classes, d), as `prototypes` returns.

    Returns:
      (..., n, classes), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: the vectors are not of one size.

    >>> prototypical_logits(jnp.array([[1.0, 0.0]]), jnp.array([[2.0, 0.0], [3.0, 0.0]])).tolist()
    [[-1.0, -4.0]]
    """
    checks.floats("prototypical_logits", x, ndim=2)
    checks.floats("prototypical_logits", of_classes, ndim=2)
    checks.trailing("prototypical_logits", x, of_classes.shape[-1:])
    difference = wide(x)[..., :, None, :] - wide(of_classes)[..., None, :, :]
    return -jnp.sum(jnp.square(difference), axis=-1).astype(x.dtype)


def matching_logits(
    x: jax.Array, support: jax.Array, labels: jax.Array, classes: int, *, scale: jax.Array | float = 1.0
) -> jax.Array:
    """Matching networks' logits: log-probabilities of classes by attention to examples, softmax of cosine similarity.

    See "Matching Networks for One Shot Learning", Vinyals et al., 2016: without embeddings that see the whole support.

    Args:
      x: (..., n, d), floating point: what a model made of what is to be classified.
      support: (..., m, d), and of the examples.
      labels: (..., m), integers in 0..classes-1.
      classes: how many there are.
      scale: what similarities are multiplied by; 1 in the paper, which leaves attention spread out.

    Returns:
      (..., n, classes), in x's dtype: their exponentials sum to 1; minus infinity of a class without examples.

    Raises:
      TypeError: x or support are not floating point, or labels are not integers.
      ValueError: the vectors are not of one size, labels are not one of each example, or known to lie out of range.

    >>> support, labels = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([1, 0])
    >>> jnp.argmax(matching_logits(jnp.array([[2.0, 0.0]]), support, labels, 2), axis=-1).tolist()
    [1]
    """
    checks.floats("matching_logits", x, ndim=2)
    checks.floats("matching_logits", support, ndim=2)
    checks.trailing("matching_logits", x, support.shape[-1:])
    whole = checks.integers("matching_logits", labels, ndim=1, name="labels")
    checks.in_range("matching_logits", labels, classes)
    if labels.shape != support.shape[:-1]:
        raise ValueError(
            f"matching_logits: expected labels {support.shape[:-1]}, one of each example; found "
            f"{checks.describe(labels)}."
        )
    similarity = scale * jnp.einsum("...nd,...md->...nm", unit(wide(x)), unit(wide(support)))
    own = jax.nn.one_hot(whole, classes, dtype=bool)[..., None, :, :]  # (..., 1, m, classes)
    there = jnp.any(own, axis=-2)
    attention = jnp.where(own | ~there[..., None, :], jax.nn.log_softmax(similarity)[..., None], -jnp.inf)
    return jnp.where(there, jax.nn.logsumexp(attention, axis=-2), -jnp.inf).astype(x.dtype)


def siamese_spec(d: int, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a siamese head.

    Args:
      d: the size of the vectors.
      dtype: of w and b.

    Returns:
      {"w": (d, 1), "b": (1,)}

    >>> siamese_spec(8)["w"].shape
    (8, 1)
    """
    return linear_spec(d, 1, axes=("embed", "out"), dtype=dtype)


def siamese(p: Params, a: jax.Array, b: jax.Array) -> jax.Array:
    """Siamese head: the logit that two vectors, which one model made, are of the same class.

    See "Siamese Neural Networks for One-shot Image Recognition", Koch, Zemel and Salakhutdinov, 2015.

    Args:
      p: as `siamese_spec` declares.
      a, b: (..., d), floating point.

    Returns:
      (...), in a's dtype: a weighted sum of the absolute differences.

    Raises:
      TypeError: a is not floating point.
      ValueError: a and b are of different shapes, or not of the size that p was declared for.

    >>> siamese({"w": -jnp.ones((2, 1)), "b": jnp.ones(1)}, jnp.zeros(2), jnp.ones(2)).item()
    -1.0
    """
    checks.same_shape("siamese", a=a, b=b)
    return linear(p, jnp.abs(a - b))[..., 0]
