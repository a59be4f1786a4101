"""Segment operations: messages of edges, gathered from nodes and brought together at nodes, masked ones left out.

    gather(x, ids) -> (..., e, *f)                          of each edge the features of its node
    segment_sum, segment_mean, segment_max(messages, ids, n, mask=mask) -> (..., n, *f)
    segment_softmax(scores, ids, n, mask=mask) -> (..., e, *f)

Axes: `e` messages, `n` segments, `f` features, in leading axes that x and ids share.

Laws: the order of messages does not matter; one that is masked, or whose segment does not exist, has no part, whatever
it holds; a segment without messages is zero, with a gradient of zero. All is summed in float32 at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide, wide_integers

Aggregate = Callable[..., jax.Array]  # (messages, ids, n, *, mask) -> (..., n, *f)


def gather(x: jax.Array, ids: jax.Array) -> jax.Array:
    """Rows of x (..., n, *f) by ids (..., e): (..., e, *f). An id that is none gives NaN, or the least integer.

    >>> gather(jnp.array([[1.0], [2.0]]), jnp.array([1, 0, 1])).tolist()
    [[2.0], [1.0], [2.0]]
    """
    axis, n, ids = ids.ndim - 1, x.shape[ids.ndim - 1], _wide_ids(ids)
    ids = _over(jnp.where((ids >= 0) & (ids < n), ids, n), x)
    exact = wide(x) if jnp.issubdtype(x.dtype, jnp.floating) else x
    return jnp.take_along_axis(exact, ids, axis=axis, mode="fill").astype(x.dtype)


def segment_sum(messages: jax.Array, ids: jax.Array, n: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Segment sum: of the messages of each of n segments.

    Args:
      messages: (..., e, *f), floating point.
      ids: (..., e), integers: the segment of each message.
      n: how many segments there are.
      mask: (..., e), bool: which messages there are; None for all.

    Returns:
      (..., n, *f), in the messages' dtype.

    Raises:
      TypeError: messages are not floating point, or ids not integers.
      ValueError: messages have not the leading axes of ids.

    >>> segment_sum(jnp.array([1.0, 2.0, 3.0]), jnp.array([0, 2, 0]), 3).tolist()
    [4.0, 0.0, 2.0]
    """
    flat, where, there = _flat(messages, ids, n, mask)
    kept = jnp.where(_over(there, flat), wide(flat), 0)
    total = jax.ops.segment_sum(kept, where, math.prod(ids.shape[:-1]) * n)
    return total.reshape(*ids.shape[:-1], n, *messages.shape[ids.ndim :]).astype(messages.dtype)


def segment_mean(messages: jax.Array, ids: jax.Array, n: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Segment mean: of the messages of each of n segments; as `segment_sum`.

    >>> segment_mean(jnp.array([1.0, 2.0, 3.0]), jnp.array([0, 2, 0]), 3).tolist()
    [2.0, 0.0, 2.0]
    """
    counts = jnp.maximum(segment_count(ids, n, mask=mask), 1)
    total = segment_sum(wide(messages), ids, n, mask=mask)
    return (total / _over(counts, total)).astype(messages.dtype)


def segment_count(ids: jax.Array, n: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Segment count: how many messages each of n segments has, (..., n), int32.

    >>> segment_count(jnp.array([0, 2, 0]), 3).tolist()
    [2, 0, 1]
    """
    ones, where, there = _flat(jnp.ones(ids.shape, jnp.int32), ids, n, mask)
    total = jax.ops.segment_sum(jnp.where(there, ones, 0), where, math.prod(ids.shape[:-1]) * n)
    return total.reshape(*ids.shape[:-1], n)


def segment_max(messages: jax.Array, ids: jax.Array, n: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Segment maximum: of the messages of each of n segments, 0 where it has none; equals share its gradient.

    Arguments and result as `segment_sum`.

    >>> segment_max(jnp.array([1.0, 2.0, 3.0]), jnp.array([0, 2, 0]), 3).tolist()
    [3.0, 0.0, 2.0]
    """
    flat, where, there = _flat(jax.lax.stop_gradient(messages), ids, n, mask)
    lowest = jnp.where(_over(there, flat), flat, -jnp.inf)
    top = jax.ops.segment_max(lowest, where, math.prod(ids.shape[:-1]) * n)
    top = top.reshape(*ids.shape[:-1], n, *messages.shape[ids.ndim :])
    top = jnp.where(_over(segment_count(ids, n, mask=mask), top) > 0, top, 0)
    # the value is the maximum as it is, the gradient that of the mean of those that are equal to it
    known = jnp.ones(ids.shape, bool) if mask is None else mask
    still = jax.lax.stop_gradient(messages)
    equal = _over(known, messages) & (still == gather(top, ids))
    among = segment_sum(equal.astype(wide(messages).dtype), ids, n)
    rise = wide(messages) - jnp.where(jnp.isinf(still), 0, wide(still))  # 0, or the infinity itself
    mean = segment_sum(jnp.where(equal, rise, 0), ids, n) / jnp.maximum(among, 1)
    return top + mean.astype(messages.dtype)


def segment_softmax(scores: jax.Array, ids: jax.Array, n: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Segment softmax: of the scores of each of n segments among themselves; 0 for those that are masked.

    Args:
      scores: (..., e, *f), floating point.
      ids, n, mask: as in `segment_sum`.

    Returns:
      scores' shape and dtype; over each segment that has scores the sum is 1.

    >>> segment_softmax(jnp.array([1.0, 5.0, 1.0]), jnp.array([0, 2, 0]), 3).tolist()
    [0.5, 1.0, 0.5]
    """
    exact = wide(scores)
    ids = _wide_ids(ids)
    known = _over((ids >= 0) & (ids < n) & (True if mask is None else mask), exact)
    top = gather(jax.lax.stop_gradient(segment_max(exact, ids, n, mask=mask)), ids)
    powers = jnp.where(known, jnp.exp(jnp.where(known, exact - top, 0)), 0)
    total = gather(segment_sum(powers, ids, n), ids)
    return (powers / jnp.where(known, total, 1)).astype(scores.dtype)


def _flat(
    messages: jax.Array, ids: jax.Array, n: int, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Messages, segments and masks of all leading axes in one list; those of no segment are one beyond the last."""
    ids = _wide_ids(ids)
    if messages.shape[: ids.ndim] != ids.shape:
        raise ValueError(
            f"segment: expected a message for each id {checks.describe(ids)}, found {checks.describe(messages)}."
        )
    rows, there = math.prod(ids.shape[:-1]), (ids >= 0) & (ids < n) & (True if mask is None else mask)
    ids = jnp.asarray(ids)
    starts = n * jnp.arange(rows, dtype=ids.dtype).reshape(*ids.shape[:-1], 1)
    where = jnp.where(there, ids + starts, rows * n)
    return messages.reshape(-1, *messages.shape[ids.ndim :]), where.reshape(-1), there.reshape(-1)


def _wide_ids(ids: jax.Array) -> Any:
    """ids in 32 bits at least, once they are known to be integers."""
    checks.array("segment", ids, "ids")
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"segment: expected ids that are integers, found {checks.describe(ids)}.")
    return wide_integers(ids)


def _over(a: jax.Array, like: jax.Array) -> jax.Array:
    """a with the missing trailing axes of `like`."""
    return a.reshape(a.shape + (1,) * (like.ndim - a.ndim))
