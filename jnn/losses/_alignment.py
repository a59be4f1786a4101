"""Alignments: what CTC and the transducer share. Sums over paths are in the log domain, where NEVER is log 0.

Paths that end nowhere cost infinity, with a gradient of 0: no frame could make such a target likely.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks

NEVER = -1e30  # finite: of -inf the gradient of a sum in the log domain would be nan


def check(
    name: str, logits: jax.Array, labels: jax.Array, logit_lengths: jax.Array, label_lengths: jax.Array, blank: int
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Raises unless they fit; logits' axes behind the leading ones are frames, whatever is between, and symbols.

    Returns:
      The three, wide, with labels that index safely; and (...) whether labels are in range within their length, and
      lengths within the arrays.
    """
    lead = labels.shape[:-1]
    frames, symbols, most = logits.shape[len(lead)], logits.shape[-1], labels.shape[-1]
    given = {"labels": labels, "logit_lengths": logit_lengths, "label_lengths": label_lengths}
    labels, logit_lengths, label_lengths = (checks.integers(name, x, name=what) for what, x in given.items())
    for what, x in given.items():
        if what != "labels" and x.shape != lead:
            raise ValueError(f"{name}: expected {what} {lead}, one an example, found {checks.describe(x)}.")
    if logits.shape[: len(lead)] != lead:
        raise ValueError(f"{name}: expected logits {(*lead, '...')} as labels are, found {checks.describe(logits)}.")
    if not 0 <= blank < symbols:
        raise ValueError(f"{name}: expected a blank in 0..{symbols - 1}, found {blank}.")
    checks.lengths(name, logit_lengths, frames, of="frames", what="logit_lengths")
    checks.lengths(name, label_lengths, most, of="labels", what="label_lengths")
    place = jax.lax.broadcasted_iota(jnp.int32, labels.shape, labels.ndim - 1)
    wrong = (place < label_lengths[..., None]) & ((labels < 0) | (labels >= symbols) | (labels == blank))
    if not isinstance(wrong, jax.core.Tracer) and np.asarray(wrong).any():
        found = sorted(set(np.asarray(labels)[np.asarray(wrong)].tolist()))
        raise ValueError(
            f"{name}: expected labels in 0..{symbols - 1} other than the blank {blank}, found {found}. What "
            "lies beyond label_lengths may be anything."
        )
    in_time = (logit_lengths >= 0) & (logit_lengths <= frames) & (label_lengths >= 0) & (label_lengths <= most)
    return jnp.clip(labels, 0, symbols - 1), logit_lengths, label_lengths, in_time & ~jnp.any(wrong, axis=-1)


def cost(log_prob: jax.Array, valid: jax.Array) -> jax.Array:
    """Minus a log-probability; infinite, without gradient, where that is NEVER, and NaN where input is not valid."""
    possible = log_prob > NEVER / 2
    return jnp.where(valid, jnp.where(possible, -log_prob, jnp.inf), jnp.nan)
