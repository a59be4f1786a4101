"""Accuracy in its forms, and perplexity: weighted means over examples or tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics._sums import Mean, classified, mean, ratio, total, yes_or_no


def accuracy(logits: jax.Array, labels: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Accuracy: how often the greatest logit is the label's: `top_k_accuracy` with k = 1.

    >>> float(accuracy(jnp.array([[0.1, 0.9], [0.8, 0.2]]), jnp.array([1, 1])).value())
    0.5
    """
    return _top_k("accuracy", logits, labels, 1, weight)


def top_k_accuracy(logits: jax.Array, labels: jax.Array, k: int, weight: jax.Array | None = None) -> Mean:
    """Top-k accuracy: how often the label is among the k greatest logits; of equal ones the first is the greater.

    Args:
      logits: (..., classes), floating point: logits or probabilities. NaN among them gives NaN.
      labels: (...), integers in 0..classes-1.
      k: from 1 to classes.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range, or k outside 1..classes.

    >>> float(top_k_accuracy(jnp.array([[0.1, 0.2, 0.7]]), jnp.array([1]), 2).value())
    1.0
    """
    return _top_k("top_k_accuracy", logits, labels, k, weight)


def _top_k(name: str, logits: jax.Array, labels: jax.Array, k: int, weight: jax.Array | None) -> Mean:
    labels, weight = classified(name, logits, labels, weight)
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(f"{name}: expected k in 1..{logits.shape[-1]}, found {k}.")
    own = jnp.take_along_axis(logits, labels[..., None], axis=-1)
    earlier = jax.lax.broadcasted_iota(jnp.int32, logits.shape, labels.ndim) < labels[..., None]
    ahead = jnp.sum((logits > own) | ((logits == own) & earlier), axis=-1)
    return Mean(total(ahead < k, weight), jnp.sum(weight))


def binary_accuracy(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, threshold: float = 0.5
) -> Mean:
    """Binary accuracy: how often `score > threshold` is the label's answer.

    Args:
      scores: (...), floating point: probabilities, or logits with a threshold of 0. NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      threshold: of the answer yes.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes do not fit, or labels known to be neither 0 nor 1.

    >>> float(binary_accuracy(jnp.array([0.9, 0.6]), jnp.array([1, 0])).value())
    0.5
    """
    positive, weight = yes_or_no("binary_accuracy", scores, labels, weight)
    return Mean(total((scores > threshold) == positive, weight), jnp.sum(weight))


def specificity(
    scores: jax.Array, labels: jax.Array, weight: jax.Array | None = None, *, threshold: float = 0.5
) -> Mean:
    """Specificity, the true negative rate: of the examples whose label is 0, the share that is answered no.

    See "Statistical Problems in Assessing Methods of Medical Diagnosis", Yerushalmy, 1947.

    Args:
      scores: (...), floating point: probabilities, or logits with a threshold of 0. NaN gives NaN.
      labels: the same shape, 0 or 1 in any dtype.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      threshold: of the answer yes.

    Raises:
      TypeError: scores are not floating point.
      ValueError: shapes do not fit, or labels known to be neither 0 nor 1.

    >>> float(specificity(jnp.array([0.9, 0.6, 0.1]), jnp.array([1, 0, 0])).value())
    0.5
    """
    positive, weight = yes_or_no("specificity", scores, labels, weight)
    return Mean(total(~positive & (scores <= threshold), weight), total(~positive, weight))


class Perplexity(NamedTuple):
    """Perplexity: exp of a mean negative log-likelihood, as its sum and the number of tokens.

    >>> float(Perplexity(0.0, 3.0).value())
    1.0
    """

    total: Any
    weight: Any

    def value(self) -> Any:
        """exp(total / weight), NaN where the weight is 0."""
        nll = ratio(self.total, self.weight)
        return jnp.exp(nll) if isinstance(nll, jax.Array) else np.exp(nll)


def perplexity(values: jax.Array, weight: jax.Array | None = None) -> Perplexity:
    """Perplexity of tokens, from their negative log-likelihoods in nats, such as `cross_entropy` gives.

    See "Perplexity: A Measure of the Difficulty of Speech Recognition Tasks", Jelinek et al., 1977.

    Args:
      values: any shape, one for each token.
      weight: of the same shape, or of its leading axes; 0 for padding, None for 1 each.

    Raises:
      ValueError: values are empty, or weight is not of their leading axes.

    >>> round(float(perplexity(jnp.log(jnp.array([2.0, 8.0]))).value()), 4)
    4.0
    """
    return Perplexity(*mean(values, weight))
