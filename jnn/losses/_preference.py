"""Preference losses against a reference model: what is chosen becomes more likely than what is rejected.

    sequence_log_prob(logits, tokens, mask)      of which all but the last are made
    dpo_loss, ipo_loss                                  pairs of answers
    kto_loss                                            single answers, good or bad

One number per pair or answer. Log-probabilities are (...), of whole answers given their prompts; those of a reference
have no gradient. Laws: float32 at least; finite, with gradients, wherever the log-probabilities and their differences
are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._cross_entropy import cross_entropy
from jnn.losses._inputs import alike, masked, positive


def sequence_log_prob(logits: jax.Array, tokens: jax.Array, mask: jax.Array, *, average: bool = False) -> jax.Array:
    """Log-probability of a sequence: the sum of its tokens', where the mask says that they are of the answer.

    Args:
      logits: (..., t, v), of each token given those before it, floating point.
      tokens: (..., t), integers in 0..v-1.
      mask: (..., t), true or not 0 for the answer's tokens: neither prompt nor padding.
      average: the mean over these tokens instead (`orpo_loss`, `simpo_loss`).

    Returns:
      (...): one number per sequence; 0 of no tokens.

    Raises:
      TypeError: logits are not floating point, or tokens not integers.
      ValueError: shapes do not fit, or tokens known to lie out of range.

    >>> sequence_log_prob(jnp.zeros((1, 3, 2)), jnp.zeros((1, 3), int), jnp.array([[0, 1, 1]]))
    Array([-1.3862944], dtype=float32)
    """
    there = masked("sequence_log_prob", mask, tokens.shape)
    total = -jnp.sum(jnp.where(there, cross_entropy(logits, tokens), 0), axis=-1)
    return total / jnp.maximum(jnp.sum(there, axis=-1), 1) if average else total


def dpo_loss(
    chosen: jax.Array,
    rejected: jax.Array,
    reference_chosen: jax.Array,
    reference_rejected: jax.Array,
    *,
    beta: jax.Array | float = 0.1,
    smoothing: jax.Array | float = 0.0,
) -> jax.Array:
    """DPO, direct preference optimization: minus the log-probability of the choice, by rewards beta log(p / p_ref).

    See "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", Rafailov et al., 2023; for
    smoothing (conservative DPO) "A note on DPO with noisy preferences", Mitchell, 2023.

    Args:
      chosen, rejected: (...), log-probabilities of the two answers, floating point.
      reference_chosen, reference_rejected: the same of the reference model.
      beta: how much departing from the reference costs, above 0.
      smoothing: the chance that a label is the wrong way round, in [0, 0.5).

    Returns:
      (...): one number per pair.

    Raises:
      TypeError: log-probabilities are not floating point.
      ValueError: shapes differ, or an option is out of range.

    >>> dpo_loss(*jnp.array([[-1.0], [-2.0], [-1.0], [-2.0]]))
    Array([0.6931472], dtype=float32)
    """
    gap = _log_ratio("dpo_loss", chosen, rejected, reference_chosen, reference_rejected)
    logit = positive("dpo_loss", "beta", beta, gap) * gap
    in_range = lambda s: (s >= 0) & (s < 0.5)
    smoothing = checks.number("dpo_loss", "smoothing", smoothing, in_range, "in [0, 0.5)", like=gap)
    return (1 - smoothing) * jax.nn.softplus(-logit) + smoothing * jax.nn.softplus(logit)


def ipo_loss(
    chosen: jax.Array,
    rejected: jax.Array,
    reference_chosen: jax.Array,
    reference_rejected: jax.Array,
    *,
    beta: jax.Array | float = 0.1,
) -> jax.Array:
    """IPO, identity preference optimization: the log-ratio of the two answers shall be 1 / (2 beta), and no more.

    See "A General Theoretical Paradigm to Understand Learning from Human Preferences", Azar et al., 2023, where beta is
    tau.

    Args:
      chosen, rejected, reference_chosen, reference_rejected: as for `dpo_loss`.
      beta: how much departing from the reference costs, above 0.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError, ValueError: as for `dpo_loss`.

    >>> ipo_loss(*jnp.array([[3.0], [0.0], [0.0], [0.0]]), beta=0.25)
    Array([1.], dtype=float32)
    """
    gap = _log_ratio("ipo_loss", chosen, rejected, reference_chosen, reference_rejected)
    return jnp.square(gap - 1 / (2 * positive("ipo_loss", "beta", beta, gap)))


def kto_loss(
    log_probs: jax.Array,
    reference: jax.Array,
    desirable: jax.Array,
    divergence: jax.Array | float,
    *,
    beta: jax.Array | float = 0.1,
    desirable_weight: jax.Array | float = 1.0,
    undesirable_weight: jax.Array | float = 1.0,
) -> jax.Array:
    """KTO, Kahneman-Tversky optimization: the lost value of answers that are good or bad by themselves.

    See "KTO: Model Alignment as Prospect Theoretic Optimization", Ethayarajh et al., 2024.

    Args:
      log_probs: (...), of the answers, floating point.
      reference: the same of the reference model.
      desirable: (...), 1 or true for good answers, 0 or false for bad ones.
      divergence: the reference point, an estimate of KL(model || reference) of 0 or more; it has no gradient.
      beta: how fast value saturates, above 0.
      desirable_weight, undesirable_weight: what the two kinds count.

    Returns:
      (...): one number per answer.

    Raises:
      TypeError, ValueError: as for `dpo_loss`.

    >>> kto_loss(jnp.array([0.0, 0.0]), jnp.array([0.0, 0.0]), jnp.array([1, 0]), 0.0)
    Array([0.5, 0.5], dtype=float32)
    """
    ours, theirs = alike("kto_loss", log_probs=log_probs, reference=reference)
    checks.same_shape("kto_loss", log_probs=log_probs, desirable=desirable)
    beta = positive("kto_loss", "beta", beta, ours)
    reward = ours - jax.lax.stop_gradient(theirs)
    gain = beta * (reward - jax.lax.stop_gradient(jnp.maximum(divergence, 0)))
    good, bad = desirable_weight * jax.nn.sigmoid(-gain), undesirable_weight * jax.nn.sigmoid(gain)
    return jnp.where(desirable != 0, good, bad)


def _log_ratio(name: str, *log_probs: jax.Array) -> jax.Array:
    names = ("chosen", "rejected", "reference_chosen", "reference_rejected")
    chosen, rejected, of_chosen, of_rejected = alike(name, **dict(zip(names, log_probs, strict=True)))
    return chosen - rejected - jax.lax.stop_gradient(of_chosen - of_rejected)
