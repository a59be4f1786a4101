"""Permutation-invariant training: which of several predicted sources is meant for which target, no order says.

    permutation_invariant_loss(loss, predictions, targets)      of the permutation that costs the least
    best_permutation(costs)                                     that permutation, to put predictions in order

All permutations are tried: exact, with gradients, of eight sources at most.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks

MOST = 8  # sources; 40320 permutations


def permutation_invariant_loss(
    loss: Callable[[jax.Array, jax.Array], jax.Array], predictions: jax.Array, targets: jax.Array
) -> jax.Array:
    """Permutation-invariant training (PIT): the mean loss of sources, in the order that makes it the least.

    See "Permutation Invariant Training of Deep Models for Speaker-Independent Multi-Talker Speech Separation", Yu et
    al., 2017.

    Args:
      loss: `(prediction, target) -> cost` of (..., time) each, one number for each source; jnn.losses.squared_error.
      predictions: (..., sources, time), floating point.
      targets: the same shape.

    Returns:
      (...): the least mean over permutations. Gradients go through the best one alone; where several are, through each
      in equal parts.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, there are more than eight sources, or the loss is not one number for each source.

    >>> from jnn.losses import squared_error
    >>> first, second = jnp.array([1.0, 2.0]), jnp.array([5.0, 5.0])
    >>> permutation_invariant_loss(squared_error, jnp.stack([first, second]), jnp.stack([second, 0 * first]))
    Array(1.25, dtype=float32)
    """
    checks.floats("permutation_invariant_loss", predictions, ndim=2)
    checks.same_shape("permutation_invariant_loss", predictions=predictions, targets=targets)
    *lead, sources, time = predictions.shape
    pairs = (*lead, sources, sources)
    costs = loss(
        jnp.broadcast_to(predictions[..., None, :, :], (*pairs, time)),
        jnp.broadcast_to(targets[..., :, None, :], (*pairs, time)),
    )
    if jnp.shape(costs) != pairs:
        raise ValueError(
            f"permutation_invariant_loss: expected the loss to be one number for each source, {pairs} of "
            f"{(*pairs, time)}, found {checks.describe(costs)}. Reduce over the last axis, and no other."
        )
    return jnp.min(_of_permutations("permutation_invariant_loss", costs), axis=-1)


def best_permutation(costs: jax.Array) -> jax.Array:
    """Best permutation of sources: which prediction each target gets, so that the costs add up to the least.

    Args:
      costs: (..., targets, predictions), floating point, as many of each: minus SI-SDR, or any loss.

    Returns:
      (..., targets): of each the index of its prediction, int32; the first of those that are equally good.
      `jnp.take_along_axis(predictions, permutation[..., None], axis=-2)` puts (..., sources, time) in order.

    Raises:
      TypeError: costs are not floating point.
      ValueError: there are not as many predictions as targets, or more than eight.

    >>> best_permutation(jnp.array([[3.0, 0.0, 9.0], [0.0, 1.0, 9.0], [9.0, 9.0, 0.0]]))
    Array([1, 0, 2], dtype=int32)
    """
    checks.floats("best_permutation", costs, ndim=2)
    best = jnp.argmin(_of_permutations("best_permutation", costs), axis=-1)
    return jnp.asarray(_orders(costs.shape[-1]))[best]


def _of_permutations(name: str, costs: jax.Array) -> jax.Array:
    """The mean cost of every permutation: (..., n!)."""
    targets, predictions = costs.shape[-2:]
    if targets != predictions or targets > MOST:
        raise ValueError(
            f"{name}: expected as many predictions as targets, and {MOST} at most (all permutations are tried), found "
            f"{checks.describe(costs)}. For more, scipy.optimize.linear_sum_assignment finds the best on the host."
        )
    return jnp.mean(costs[..., np.arange(targets), _orders(targets)], axis=-1)


def _orders(n: int) -> np.ndarray:
    return np.array(list(permutations(range(n))), np.int32)
