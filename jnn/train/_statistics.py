"""Batch statistics, as sums over the parts of a batch and as a running average.

    totals(stats, rows) -> sums              each statistic times what it was taken over, its "count" beside it
    averages(sums) -> stats                  what the loss would have returned for all parts at once
    running(old, stats, momentum) -> new     the average over steps; what held nothing changes nothing

Statistics are nested dicts. A layer returns its own with the "count" of what it normalized over beside them; those
without one count by the rows of their part. Parts are averaged by what they held: the variance of all is the mean of
the parts' variances, without that between the parts' means, which no part was normalized by either.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.param import flatten, misfits
from jnn.precision import wide

COUNT = "count"


def totals(stats: Any, rows: Any) -> Any:
    """Sums that add up over parts: in every dict "count", by default `rows`, and the others times that.

    >>> {k: v.item() for k, v in totals({"mean": jnp.array(2.0), "count": jnp.array(3.0)}, 8.0).items()}
    {'mean': 6.0, 'count': 3.0}
    """
    if isinstance(stats, list | tuple) and not hasattr(stats, "_fields"):
        return type(stats)(totals(each, rows) for each in stats)
    if not isinstance(stats, dict):
        raise TypeError(
            f"train step: stats are dicts by name, and lists of them; found a {type(stats).__name__}. Give each "
            "statistic a name."
        )
    if not stats:
        return {}
    count = jax.lax.stop_gradient(jnp.asarray(stats.get(COUNT, rows)))
    return {name: _total(value, count) for name, value in stats.items() if name != COUNT} | {COUNT: count}


def averages(sums: Any) -> Any:
    """The statistics of all parts, with their counts: 0 where nothing was counted.

    >>> {k: v.item() for k, v in averages({"mean": jnp.array(6.0), "count": jnp.array(3.0)}).items()}
    {'mean': 2.0, 'count': 3.0}
    """
    if isinstance(sums, list | tuple):
        return type(sums)(map(averages, sums))
    divide = lambda x: x / _along(jnp.where(sums[COUNT] == 0, 1.0, sums[COUNT]), x)
    own = lambda name, x: x if name == COUNT else averages(x) if isinstance(x, dict | list | tuple) else divide(x)
    return {name: own(name, x) for name, x in sums.items()}


def running(old: Any, stats: Any, momentum: float, *, more: bool = False) -> Any:
    """`momentum * old + (1 - momentum) * stats`, leaf by leaf; where nothing was counted, `old`.

    Args:
      old: the running statistics.
      stats: of `averages`.
      momentum: the share of the old ones.
      more: whether stats may hold others, which somebody else takes: `remember`.

    Raises:
      ValueError: the two are not one tree.
    """
    found, held = flatten(without(stats)), flatten(old)
    if problems := misfits({path: x for path, x in found.items() if path in held or not more}, held, cast=True):
        raise ValueError(
            "train step: the loss returned stats that are not those of the state:\n  "
            + "\n  ".join(problems)
            + "\nGive create_state(stats=...) arrays in the tree that the loss returns (without counts), as jnn.init "
            "makes them of a spec."
        )
    return _averaged(old, stats, momentum)


def without(stats: Any) -> Any:
    """Statistics without their counts: the tree that a state holds."""
    if isinstance(stats, list | tuple):
        return type(stats)(map(without, stats))
    return {name: without(x) for name, x in stats.items() if name != COUNT} if isinstance(stats, dict) else stats


def _averaged(old: Any, stats: Any, momentum: float) -> Any:
    if isinstance(old, list | tuple):
        return type(old)(_averaged(a, b, momentum) for a, b in zip(old, stats, strict=True))

    def average(a: Any, b: Any) -> Any:
        if isinstance(a, dict | list | tuple):
            return _averaged(a, b, momentum)
        new = momentum * a + (1 - momentum) * b.astype(a.dtype)
        return jnp.where(_along(stats[COUNT], new) == 0, a, new)

    return {name: average(a, stats[name]) for name, a in old.items()}


def _total(value: Any, count: jax.Array) -> Any:
    if isinstance(value, dict | list | tuple):
        return totals(value, count)
    value = jax.lax.stop_gradient(jnp.asarray(value))
    value = wide(value)
    count = _along(count, value)
    return jnp.where(count == 0, 0.0, value * count)  # what was taken over nothing may hold anything


def _along(count: jax.Array, x: jax.Array) -> jax.Array:
    """The count, over the first axes of x: one for each of several layers, say."""
    return count.reshape(count.shape + (1,) * (x.ndim - count.ndim)).astype(x.dtype)
