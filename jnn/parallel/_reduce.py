"""All-reduce of the sums that several devices made: what all ways of parallel training share.

all_reduce_sums(sums, axis) -> sums            within `pmap` or `shard_map`: those of all devices along an axis
ordered_sum(stacked) -> sums                those along a leading axis, from the first to the last
"""

from __future__ import annotations

import functools
import operator

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jnn.metrics import by_kind, fold
from jnn.train import Sums


def all_reduce_sums(sums: Sums, axis: str) -> Sums:
    """The sums of all devices, in one all-reduce; metrics that do not add are put in the devices' order."""
    adding, others = by_kind(sums.metrics)
    leaves, structure = jax.tree.flatten(sums._replace(metrics=adding))
    is_count = [jnp.issubdtype(x.dtype, jnp.integer) for x in leaves]  # as a part of the vector it would be rounded
    vector, unravel = ravel_pytree([x for x, count in zip(leaves, is_count, strict=True) if not count])
    counts = [x for x, count in zip(leaves, is_count, strict=True) if count]
    vector, counts = jax.lax.psum((vector, counts), axis)
    numbers, counts = iter(unravel(vector)), iter(counts)
    total = jax.tree.unflatten(structure, [next(counts if count else numbers) for count in is_count])
    return total._replace(
        metrics=total.metrics | {name: fold(jax.lax.all_gather(m, axis)) for name, m in others.items()}
    )


def ordered_sum(stacked: Sums) -> Sums:
    """Sums along a leading axis as one, added one by one."""
    adding, others = by_kind(stacked.metrics)
    total = jax.tree.map(lambda x: functools.reduce(operator.add, x), stacked._replace(metrics=adding))
    return total._replace(metrics=total.metrics | {name: fold(metric) for name, metric in others.items()})
