"""Losses that weigh examples by how sure of them the model is: less where it is (focal), or where labels lie (robust).

    focal_loss(logits, labels)                  one of many classes: (1 - p)^gamma times the cross-entropy
    binary_focal_loss(logits, targets)          independent yes/no answers
    generalized_cross_entropy(logits, labels)   (1 - p^q) / q: from absolute error (q = 1) to cross-entropy (q -> 0)
    poly_loss(logits, labels)                   cross-entropy plus epsilon (1 - p)

p is the probability of the class that is right. Powers are taken in the log domain, so that values and gradients are
finite at p = 0 and p = 1, whatever gamma. Labels out of range are an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import asked, beside, one_of, unit_interval


def focal_loss(logits: jax.Array, labels: jax.Array, *, gamma: jax.Array | float = 2.0) -> jax.Array:
    """Focal loss of one of many classes: cross-entropy, less where the class is already probable.

    See "Focal Loss for Dense Object Detection", Lin et al., 2017. For its class weights alpha, multiply the values by
    `alpha[labels]`.

    Args:
      logits: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      gamma: how much less, >= 0; 0 is cross-entropy.

    Returns:
      (...): `-(1 - p)**gamma * log(p)`, p being the probability of the label.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to be out of range, or gamma negative.

    >>> focal_loss(jnp.array([[0.0, 0.0]]), jnp.array([1]))
    Array([0.1732868], dtype=float32)
    """
    logits, own = one_of("focal_loss", logits, labels)
    gamma = checks.number("focal_loss", "gamma", gamma, lambda g: g >= 0, ">= 0", like=logits)
    log_p = _log_prob(logits, own)
    others = jnp.where(own, jnp.finfo(logits.dtype).min, jax.nn.log_softmax(logits, axis=-1))
    return -jnp.exp(gamma * jax.nn.logsumexp(others, axis=-1)) * log_p


def binary_focal_loss(
    logits: jax.Array, targets: jax.Array, *, gamma: jax.Array | float = 2.0, alpha: float | None = None
) -> jax.Array:
    """Focal loss of independent yes/no answers: binary cross-entropy, less where the answer is already probable.

    See "Focal Loss for Dense Object Detection", Lin et al., 2017.

    Args:
      logits: (..., outputs), floating point.
      targets: the same shape; 0, 1 or in between, of any dtype.
      gamma: how much less, >= 0; 0 is binary cross-entropy.
      alpha: the weight of a yes in [0, 1], that of a no being 1 - alpha; None weighs neither.

    Returns:
      (...): the mean over the last axis.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes differ, targets known to lie outside [0, 1], or gamma or alpha out of range.

    >>> binary_focal_loss(jnp.array([[0.0, 1000.0]]), jnp.array([[0, 1]]))
    Array([0.0866434], dtype=float32)
    """
    logits, _ = checks.pair("binary_focal_loss", logits, targets)
    targets = beside(logits, unit_interval("binary_focal_loss", "targets", targets))
    gamma = checks.number("binary_focal_loss", "gamma", gamma, lambda g: g >= 0, ">= 0", like=logits)
    yes, no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    least = jnp.finfo(logits.dtype).min  # of which 0 times is 0
    of_yes, of_no = (
        weight * jnp.exp(gamma * jnp.maximum(other, least)) * asked(weight, own)
        for weight, own, other in ((targets, yes, no), (1 - targets, no, yes))
    )
    if alpha is not None:
        in_range = lambda a: (a >= 0) & (a <= 1)
        alpha = checks.number("binary_focal_loss", "alpha", alpha, in_range, "in [0, 1]", like=logits)
        of_yes, of_no = alpha * of_yes, (1 - alpha) * of_no
    return -jnp.mean(of_yes + of_no, axis=-1)


def generalized_cross_entropy(logits: jax.Array, labels: jax.Array, *, q: jax.Array | float = 0.7) -> jax.Array:
    """Generalized cross-entropy: bounded by 1 / q, so that wrong labels cost little.

    See "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels", Zhang and Sabuncu, 2018.

    Args:
      logits: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      q: in (0, 1].

    Returns:
      (...): `(1 - p**q) / q`, p being the probability of the label.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to be out of range, or q outside (0, 1].

    >>> generalized_cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1]), q=1.0)
    Array([0.5], dtype=float32)
    """
    logits, own = one_of("generalized_cross_entropy", logits, labels)
    in_range = lambda q: (q > 0) & (q <= 1)
    q = checks.number("generalized_cross_entropy", "q", q, in_range, "in (0, 1]", like=logits)
    return -jnp.expm1(q * _log_prob(logits, own)) / q


def poly_loss(logits: jax.Array, labels: jax.Array, *, epsilon: float = 1.0) -> jax.Array:
    """Poly-1 loss: cross-entropy whose Taylor series in 1 - p begins with another coefficient.

    See "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", Leng et al., 2022.

    Args:
      logits: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      epsilon: what is added to the first coefficient.

    Returns:
      (...): `-log(p) + epsilon * (1 - p)`, p being the probability of the label.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to be out of range.

    >>> poly_loss(jnp.array([[0.0, 0.0]]), jnp.array([1]))
    Array([1.1931472], dtype=float32)
    """
    log_p = _log_prob(*one_of("poly_loss", logits, labels))
    return -log_p - epsilon * jnp.expm1(log_p)


def _log_prob(logits: jax.Array, own: jax.Array) -> jax.Array:
    """The log-probability of the own class, NaN where there is none."""
    chosen = jnp.sum(jnp.where(own, jax.nn.log_softmax(logits, axis=-1), 0.0), axis=-1)
    return jnp.where(jnp.any(own, axis=-1), chosen, jnp.nan)
