"""Binary cross-entropy: one or more independent yes/no answers, one number per example (or token), in float32 at least.

    binary_cross_entropy(probabilities, targets)        of sigmoid outputs; for logits, the next is exact
    binary_cross_entropy_with_logits(logits, targets)   of logits, some of whose answers may be unknown

Laws: as in `_cross_entropy`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import asked, masked, soft_targets, unit_interval
from jnn.precision import wide

CLIP = 1e-7  # probabilities are kept this far from 0 and 1; nearer, float32 cannot tell 1 - p from 0


def binary_cross_entropy(probabilities: jax.Array, targets: jax.Array) -> jax.Array:
    """Binary cross-entropy of probabilities: minus the mean log-probability of yes/no targets.

    Probabilities are clipped to [1e-7, 1 - 1e-7], so that 0 and 1 are finite: the loss of one answer is at
    most 16.1, and its gradient is zero where the clip is active. For training prefer the function of logits.

    Args:
      probabilities: (..., outputs), in [0, 1].
      targets: the same shape; 0, 1 or in between, of any dtype.

    Returns:
      (...): the mean over the last axis.

    Raises:
      TypeError: probabilities are not floating point.
      ValueError: shapes differ, or are empty, or values known to lie outside [0, 1].

    >>> binary_cross_entropy(jnp.array([[0.5, 0.5]]), jnp.array([[0, 1]]))
    Array([0.6931472], dtype=float32)
    """
    checks.floats("binary_cross_entropy", probabilities)
    targets = soft_targets("binary_cross_entropy", probabilities, targets)
    p = unit_interval("binary_cross_entropy", "probabilities", probabilities)
    valid = ~jnp.isnan(p)
    p = jnp.clip(p, CLIP, 1 - CLIP)
    values = -(targets * jnp.log(p) + (1 - targets) * jnp.log1p(-p))
    return jnp.mean(jnp.where(valid, values, jnp.nan), axis=-1)


def binary_cross_entropy_with_logits(
    logits: jax.Array,
    targets: jax.Array,
    *,
    positive_weight: jax.Array | float = 1.0,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Binary cross-entropy of logits (multi-label): minus the mean log-probability of yes/no targets, sigmoid(logit).

    See "The Regression Analysis of Binary Sequences", Cox, 1958.

    Args:
      logits: (..., outputs), floating point, of any size: the loss is exact; an infinite one costs 0 where it is right.
      targets: the same shape; 0, 1 or in between, of any dtype.
      positive_weight: what a missed yes costs, relative to a false one: a number, or (outputs,).
      mask: the same shape: 0 or False where the answer is unknown, whatever logit and target hold.

    Returns:
      (...): the mean over the last axis, of what is known; 0 where nothing is.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes differ, or are empty, or targets known to lie outside [0, 1].

    >>> binary_cross_entropy_with_logits(jnp.array([[0.0, 1000.0]]), jnp.array([[0, 1]]))
    Array([0.3465736], dtype=float32)
    """
    name = "binary_cross_entropy_with_logits"
    checks.floats(name, logits)
    checks.same_shape(name, logits=logits, targets=targets)
    there = masked(name, mask, logits.shape)
    targets = unit_interval(name, "targets", jnp.where(there, targets, 0))
    x = jnp.where(there, wide(logits), 0.0)
    yes, no = asked(targets, jax.nn.log_sigmoid(x)), asked(1 - targets, jax.nn.log_sigmoid(-x))
    values = -(jnp.broadcast_to(positive_weight, logits.shape) * targets * yes + (1 - targets) * no)
    return jnp.sum(jnp.where(there, values, 0.0), axis=-1) / jnp.maximum(jnp.sum(there, axis=-1), 1)
