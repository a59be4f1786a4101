"""Losses of ordered classes: one score and the thresholds between classes, or one yes/no answer a threshold.

    ordinal_cross_entropy(scores, thresholds, labels)       the cumulative link model: P(y <= k) = sigmoid(t_k - score)
    coral_loss(logits, labels)                              of logits that the label is above 0, above 1, ...

Values are float32 at least, in the log domain: finite with finite gradients for scores of any size. Labels out of range
are an error where known, and NaN under `jit`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import growing, one_of
from jnn.precision import wide


def ordinal_cross_entropy(scores: jax.Array, thresholds: jax.Array, labels: jax.Array) -> jax.Array:
    """Ordinal regression: the cross-entropy of a cumulative link model (proportional odds).

    See "Regression Models for Ordinal Data", McCullagh, 1980.

    Args:
      scores: (...), floating point: one for each example.
      thresholds: (classes - 1,), strictly increasing, such as `jnp.cumsum(softplus(t))`; one array for all examples.
      labels: (...), integers in 0..classes-1.

    Returns:
      (...): minus the log-probability of each label; infinite between thresholds that are equal.

    Raises:
      TypeError: scores are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to be out of range, or thresholds known not to increase.

    >>> ordinal_cross_entropy(jnp.array([0.0]), jnp.array([0.0]), jnp.array([1]))
    Array([0.6931472], dtype=float32)
    """
    name = "ordinal_cross_entropy"
    checks.floats(name, scores, ndim=0)
    checks.floats(name, thresholds)
    _check_thresholds(name, thresholds)
    spread = jnp.broadcast_to(scores[..., None], (*scores.shape, len(thresholds) + 1))
    _, own = one_of(name, spread, labels)
    t = wide(thresholds).reshape((1,) * scores.ndim + (-1,)) - wide(scores)[..., None]
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)) for the thresholds a above and b below
    apart = jnp.diff(wide(thresholds))
    some = apart > 0  # elsewhere without a gradient, which other labels would have to multiply by 0
    gap = jnp.where(some, jnp.log(-jnp.expm1(-jnp.where(some, apart, 1.0))), jnp.where(apart == 0, -jnp.inf, jnp.nan))
    gap = gap.reshape((1,) * scores.ndim + (-1,))
    pad = lambda x, before, after: jnp.pad(x, [(0, 0)] * scores.ndim + [(before, after)])
    inner = pad(jnp.broadcast_to(gap, (*scores.shape, gap.shape[-1])), 1, 1)
    log_p = pad(jax.nn.log_sigmoid(t), 0, 1) + pad(jax.nn.log_sigmoid(-t), 1, 0) + inner
    values = -jnp.sum(jnp.where(own, log_p, 0.0), axis=-1)
    return jnp.where(jnp.any(own, axis=-1), values, jnp.nan)


def coral_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """CORAL loss (consistent rank logits): the binary cross-entropies of "above this class?", added up.

    See "Rank consistent ordinal regression for neural networks with application to age estimation", Cao et al., 2020.
    Their logits are one score plus a bias for each threshold; any others will do.

    Args:
      logits: (..., classes - 1), floating point.
      labels: (...), integers in 0..classes-1.

    Returns:
      (...): the sum over thresholds.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to be out of range.

    >>> coral_loss(jnp.array([[0.0, 0.0]]), jnp.array([1]))
    Array([1.3862944], dtype=float32)
    """
    checks.floats("coral_loss", logits)
    classes = logits.shape[-1] + 1
    _, own = one_of("coral_loss", jnp.broadcast_to(logits[..., :1], (*logits.shape[:-1], classes)), labels)
    above = jax.lax.broadcasted_iota(jnp.int32, logits.shape, labels.ndim) < labels[..., None].astype(jnp.int32)
    x = wide(logits)
    values = -jnp.sum(jnp.where(above, jax.nn.log_sigmoid(x), jax.nn.log_sigmoid(-x)), axis=-1)
    return jnp.where(jnp.any(own, axis=-1), values, jnp.nan)


def _check_thresholds(name: str, thresholds: jax.Array) -> None:
    if thresholds.ndim != 1:
        raise ValueError(
            f"{name}: expected thresholds (classes - 1,), one array for all examples, "
            f"found {checks.describe(thresholds)}."
        )
    growing(name, "thresholds", thresholds)
