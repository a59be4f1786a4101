"""Preference losses without a reference model: what is chosen becomes more likely than what is rejected.

    orpo_loss, simpo_loss                               of means over tokens
    bradley_terry(chosen, rejected)                     rewards of a reward model

Laws: as in `_preference`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.losses._inputs import alike, positive


def orpo_loss(chosen: jax.Array, rejected: jax.Array, *, strength: jax.Array | float = 0.1) -> jax.Array:
    """ORPO, odds ratio preference optimization: the chosen answer's cost, and that its odds are not the higher ones.

    See "ORPO: Monolithic Preference Optimization without Reference Model", Hong, Lee and Thorne, 2024.

    Args:
      chosen, rejected: (...), mean log-probabilities per token, below 0; at 0 the odds are taken of one rounding less.
      strength: the weight of the odds ratio, above 0; lambda in the paper.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError, ValueError: as for `dpo_loss`.

    >>> orpo_loss(jnp.array([-1.0]), jnp.array([-1.0]), strength=1.0)
    Array([1.6931472], dtype=float32)
    """
    ours, theirs = alike("orpo_loss", chosen=chosen, rejected=rejected)
    odds = _log_odds(ours) - _log_odds(theirs)
    return -ours + positive("orpo_loss", "strength", strength, ours) * jax.nn.softplus(-odds)


def _log_odds(log_p: jax.Array) -> jax.Array:
    """log(p / (1 - p))."""
    log_p = jnp.minimum(log_p, -float(jnp.finfo(log_p.dtype).eps))
    return log_p - jnp.log(-jnp.expm1(log_p))


def simpo_loss(
    chosen: jax.Array, rejected: jax.Array, *, beta: jax.Array | float = 2.0, margin: jax.Array | float = 1.0
) -> jax.Array:
    """SimPO, simple preference optimization: minus the log-probability of the choice, of mean log-probabilities.

    See "SimPO: Simple Preference Optimization with a Reference-Free Reward", Meng, Xia and Chen, 2024.

    Args:
      chosen, rejected: (...), mean log-probabilities per token, floating point.
      beta: what rewards are scaled by, above 0.
      margin: by how much the chosen answer's reward shall be higher; gamma in the paper.

    Returns:
      (...): one number per pair.

    Raises:
      TypeError, ValueError: as for `dpo_loss`.

    >>> simpo_loss(jnp.array([-1.0]), jnp.array([-1.5]))
    Array([0.6931472], dtype=float32)
    """
    ours, theirs = alike("simpo_loss", chosen=chosen, rejected=rejected)
    return jax.nn.softplus(margin - positive("simpo_loss", "beta", beta, ours) * (ours - theirs))


def bradley_terry(chosen: jax.Array, rejected: jax.Array, *, margin: jax.Array | float = 0.0) -> jax.Array:
    """Bradley-Terry loss of a reward model: minus the log-probability of the choice, sigmoid(difference of rewards).

    See "Rank Analysis of Incomplete Block Designs", Bradley and Terry, 1952; for the margin "Llama 2: Open Foundation
    and Fine-Tuned Chat Models", Touvron et al., 2023.

    Args:
      chosen, rejected: (...), rewards, floating point.
      margin: by how much the chosen one's shall be higher: a number, or (...).

    Returns:
      (...): one number per pair.

    Raises:
      TypeError, ValueError: as for `dpo_loss`.

    >>> bradley_terry(jnp.array([1.0]), jnp.array([1.0]))
    Array([0.6931472], dtype=float32)
    """
    ours, theirs = alike("bradley_terry", chosen=chosen, rejected=rejected)
    return jax.nn.softplus(margin - (ours - theirs))
