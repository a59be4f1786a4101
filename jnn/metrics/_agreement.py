"""Agreement of several raters beyond chance: Fleiss' kappa, from how many of them chose each category."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import ratio, spread, total


class FleissKappa(NamedTuple):
    """Fleiss' kappa as sums.

    Attributes:
      agreement: of the share of pairs of an example's raters that agree: (...).
      weight: of 1: (...).
      votes: of the raters that chose each category: (..., categories).
    """

    agreement: Any
    weight: Any
    votes: Any

    def value(self) -> Any:
        """What raters agree beyond chance, 1 at most; NaN of a single category."""
        chance = (ratio(self.votes, self.votes.sum(-1, keepdims=True)) ** 2).sum(-1)
        return ratio(ratio(self.agreement, self.weight) - chance, 1 - chance)


def fleiss_kappa(votes: jax.Array, weight: jax.Array | None = None) -> FleissKappa:
    """Fleiss' kappa: how far raters of categories agree, beyond what they would by chance.

    See "Measuring Nominal Scale Agreement Among Many Raters", Fleiss, 1971. Examples may have different numbers of
    raters.

    Args:
      votes: (..., categories), integers: how many raters chose each, 2 or more raters an example. Of their answers
        (..., raters) it is `jax.nn.one_hot(answers, categories, dtype=int).sum(-2)`.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: votes are not integers.
      ValueError: votes are empty or without categories, weight is not of their leading axes, or votes are known to be
        negative or of fewer than 2 raters.

    >>> kappa = jax.jit(fleiss_kappa)(jnp.array([[3, 0], [0, 3], [2, 1]]))
    >>> round(float(kappa.value()), 4)
    0.55
    """
    checks.integers("fleiss_kappa", votes, ndim=1, name="votes")
    weight = spread("fleiss_kappa", weight, votes[..., 0])
    counts = jnp.where((weight == 0)[..., None], 0, votes).astype(weight.dtype)
    raters = jnp.sum(counts, axis=-1)
    known = (weight == 0) | ((raters >= 2) & jnp.all(counts >= 0, axis=-1))
    if not isinstance(known, jax.core.Tracer) and not bool(jnp.all(known)):
        raise ValueError(
            "fleiss_kappa: expected votes >= 0 of 2 raters or more for each example, found votes from "
            f"{int(jnp.min(counts))} and examples of {int(jnp.min(jnp.where(weight == 0, jnp.inf, raters)))} raters. "
            "Give examples weight 0 that fewer have rated."
        )
    agreeing = ratio(jnp.sum(counts * (counts - 1), axis=-1), raters * (raters - 1), empty=0.0)
    weight = jnp.where(known, weight, jnp.nan)
    axes = tuple(range(votes.ndim - 1))
    return FleissKappa(total(agreeing, weight), jnp.sum(weight), total(counts, weight[..., None], axes))
