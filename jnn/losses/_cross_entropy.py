"""Softmax cross-entropy: one of many classes, one number per example (or token), in float32 at least.

    cross_entropy(logits, labels)           from integer labels
    soft_cross_entropy(logits, targets)     from one-hot or soft targets

Laws: a label or probability out of range is a ValueError where values are known, and under `jit` makes
that example's loss NaN: nothing is clamped in silence, but what is rounding: up to 1e-6 outside [0, 1], or two units in
the last place of a dtype of 16 bits. Values and gradients are finite for logits of any size in float16; in bfloat16
and float32 a difference of logits beyond float32's range costs infinity, which is the rounded answer.
`soft_cross_entropy` of one-hot targets equals `cross_entropy` of their labels, smoothing and class weights included.

Class weights multiply the values, as torch does without reduction. A mean over examples then divides by
their number. For torch's weighted mean, which divides by the sum of the weights, leave `class_weights`
out and weigh the examples instead: `LossOutput(cross_entropy(logits, y), weights=class_weights[y])`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import asked, soft_targets
from jnn.precision import wide


def cross_entropy(
    logits: jax.Array, labels: jax.Array, *, smoothing: float = 0.0, class_weights: jax.Array | None = None
) -> jax.Array:
    """Softmax cross-entropy from integer labels: minus the log-probability of each example's class.

    Smoothing: see "Rethinking the Inception Architecture for Computer Vision", Szegedy et al., 2015.

    Args:
      logits: (..., classes), floating point.
      labels: (...), integers in 0..classes-1.
      smoothing: the share of the target that is spread over all classes evenly, in [0, 1).
      class_weights: (classes,), factors of the values. A mean still divides by the number of examples; for torch's
        weighted mean give none, and `LossOutput(values, weights=class_weights[labels])`.

    Returns:
      (...): one number per label.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range, or smoothing outside [0, 1).

    >>> cross_entropy(jnp.array([[0.0, 0.0], [0.0, 100.0]]), jnp.array([0, 1]))
    Array([0.6931472, 0.       ], dtype=float32)
    """
    _check_labels(logits, labels)
    checks.in_range("cross_entropy", labels, logits.shape[-1])
    smoothing, weights = _options("cross_entropy", class_weights, smoothing, logits)
    # log_p = shifted - normalizer is never written out: half the memory of log_softmax, and no gather, so
    # that logits may be sharded over classes
    shifted = wide(logits) - jax.lax.stop_gradient(jnp.max(wide(logits), axis=-1, keepdims=True))
    normalizer = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1))
    own = jax.lax.broadcasted_iota(jnp.int32, logits.shape, labels.ndim) == labels[..., None].astype(jnp.int32)
    values = normalizer - jnp.sum(jnp.where(own, shifted, 0.0), axis=-1)
    if weights is not None:
        values = values * jnp.sum(jnp.where(own, weights, 0.0), axis=-1)
    if isinstance(smoothing, jax.Array) or smoothing:
        others = (normalizer[..., None] - shifted) * (1.0 if weights is None else weights)
        values = (1 - smoothing) * values + smoothing * jnp.mean(others, axis=-1)
    return jnp.where(jnp.any(own, axis=-1), values, jnp.nan)


def soft_cross_entropy(
    logits: jax.Array, targets: jax.Array, *, smoothing: float = 0.0, class_weights: jax.Array | None = None
) -> jax.Array:
    """Cross-entropy between target probabilities and softmax(logits). A target of 0 costs nothing.

    Args:
      logits: (..., classes), floating point.
      targets: the same shape: one-hot, or probabilities that add up to 1.
      smoothing, class_weights: as for `cross_entropy`.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes do not fit, targets known to lie outside [0, 1], or smoothing outside [0, 1).

    >>> soft_cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([[0.25, 0.75]]))
    Array([0.6931472], dtype=float32)
    """
    checks.floats("soft_cross_entropy", logits)
    targets = soft_targets("soft_cross_entropy", logits, targets)
    smoothing, weights = _options("soft_cross_entropy", class_weights, smoothing, logits)
    smooth = (1 - smoothing) * targets + smoothing / logits.shape[-1]
    if weights is not None:
        smooth = smooth * weights
    # a class masked by a logit of -inf has log-probability -inf
    return -jnp.sum(smooth * asked(smooth, jax.nn.log_softmax(wide(logits), axis=-1)), axis=-1)


def _check_labels(logits: jax.Array, labels: jax.Array) -> None:
    """Raises unless labels are integers, one for each example of logits."""
    checks.array("cross_entropy", logits, "logits")
    checks.array("cross_entropy", labels, "labels")
    if labels.ndim and labels.shape == logits.shape:
        raise TypeError(
            f"cross_entropy: expected integer labels {logits.shape[:-1]}, found {checks.describe(labels)}, as many as "
            "logits. One-hot or soft targets go to soft_cross_entropy(logits, targets)."
        )
    if jnp.issubdtype(logits.dtype, jnp.integer) and jnp.issubdtype(labels.dtype, jnp.floating):
        raise TypeError(
            "cross_entropy: logits come first: cross_entropy(logits, labels); found integers in their place."
        )
    checks.floats("cross_entropy", logits)
    checks.integers("cross_entropy", labels, name="labels")
    if labels.shape != logits.shape[:-1]:
        squeeze = " Drop its last axis: labels[..., 0]." if labels.shape == (*logits.shape[:-1], 1) else ""
        raise ValueError(
            f"cross_entropy: expected labels {logits.shape[:-1]} for logits {checks.describe(logits)}, "
            f"found {checks.describe(labels)}.{squeeze} One-hot or soft targets go to soft_cross_entropy."
        )


def _options(name: str, weights: jax.Array | None, smoothing: float, logits: jax.Array) -> tuple[Any, jax.Array | None]:
    """Smoothing and class weights, checked; the weights come back with as many axes as the logits."""
    in_range = lambda s: (s >= 0) & (s < 1)
    smoothing = checks.number(name, "smoothing", smoothing, in_range, "in [0, 1)", like=wide(logits))
    if weights is None:
        return smoothing, None
    if jnp.shape(weights) != logits.shape[-1:]:
        raise ValueError(
            f"{name}: expected one class weight for each of {logits.shape[-1]} classes, "
            f"found shape {jnp.shape(weights)}."
        )
    return smoothing, wide(jnp.asarray(weights)).reshape((1,) * (logits.ndim - 1) + (-1,))
