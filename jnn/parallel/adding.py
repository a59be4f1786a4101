"""All-reduce of the sums that several devices made: what all ways of parallel training share.

over_axis(sums, axis) -> sums            within `pmap` or `shard_map`: those of all devices along an axis
in_order(stacked) -> sums                those along a leading axis, from the first to the last
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jnn.metrics.kinds import by_kind, fold
from jnn.train.objective import Sums


def over_axis(sums: Sums, axis: str) -> Sums:
    """The sums of all devices, in one all-reduce; metrics that do not add are put in the devices' order."""
    adding, others = by_kind(sums.metrics)
    leaves, structure = jax.tree.flatten(sums._replace(metrics=adding))
    counts = {i: x for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.integer)}  # floats would round them
    vector, unravel = ravel_pytree([x for i, x in enumerate(leaves) if i not in counts])
    others_added = iter(unravel(jax.lax.psum(vector, axis)))
    counted = jax.lax.psum(counts, axis)
    added = [counted[i] if i in counts else next(others_added) for i in range(len(leaves))]
    total = jax.tree.unflatten(structure, added)
    return total._replace(
        metrics=total.metrics | {name: fold(jax.lax.all_gather(m, axis)) for name, m in others.items()}
    )


def in_order(stacked: Sums) -> Sums:
    """Sums along a leading axis as one, added one by one."""
    adding, others = by_kind(stacked.metrics)
    total = jax.tree.map(lambda x: functools.reduce(operator.add, x), stacked._replace(metrics=adding))
    return total._replace(metrics=total.metrics | {name: fold(metric) for name, metric in others.items()})


def check_extra(where: str, options: dict[str, Any]) -> None:
    """Raises ValueError where an optimizer is to evaluate the loss, on rows that are not in one place."""
    if found := {"value_fn", "grad_fn"} & set(options.get("extra", ())):
        raise ValueError(
            f"{where}: extra={sorted(found)} is the loss on the whole batch, of which each device has a part here. Use "
            "make_step, or sharded_step without lanes."
        )
