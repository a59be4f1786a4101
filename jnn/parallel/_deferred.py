"""Gradients that cross an axis of the mesh once an update, after all layers and micro-batches.

    deferred_sums(layout) -> sums                   for sharded_step(sums=...): one all-reduce along "data"
    sums_along(layout, axis, finish, spec) -> sums  the same, with whatever is done to each part's gradients at the end

Left to itself the partitioner adds up each layer's gradient where it is made: one all-reduce a layer, in each
micro-batch. Here the devices at one place of the axis compute as if they were alone, and add up at the end.

Laws: parts are micro-batches, with noise and batch statistics of their own; uneven weights and padding give the
gradient of one device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import jax
from jax.sharding import PartitionSpec

from jnn.axes import use_layout
from jnn.parallel._layout import Layout
from jnn.parallel._reduce import all_reduce_sums
from jnn.parallel._shard_map import axis_size, layout_inside, shard_map
from jnn.param import Params
from jnn.train import AddUp, Batch, Context, LossFn, Sums, gradient_sums


def deferred_sums(layout: Layout, axis: str = "data") -> AddUp:
    """Deferred all-reduce: gradients are summed along an axis once, `sharded_step(..., sums=deferred_sums(layout))`.

    See "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", Li et al., 2020, whose `no_sync`
    skips what micro-batches need not send. Of several micro-batches it moves one's bytes; of one as many as without it,
    in one collective in place of one a layer.

    Args:
      layout: on a mesh with that axis, which shares the batch.
      axis: along which devices have the same parameters.

    Raises:
      ValueError: there is no such axis.

    >>> import jnn, optax
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 1), "data=-1")
    >>> step = jnn.parallel.sharded_step(lambda *_: None, optax.sgd(0.1), jax.random.key(0), place,
    ...     sums=deferred_sums(place), microbatches=2)
    """
    return sums_along(layout, axis, lambda gradients: jax.lax.psum(gradients, axis), PartitionSpec())


def sums_along(
    layout: Layout, axis: str, finish: Callable[[Params], Params], spec: PartitionSpec, where: str = "deferred_sums"
) -> AddUp:
    """Sums of all rows, but for the gradients: each part's own along an axis until `finish`, lying by `spec` behind it.

    Raises:
      ValueError: there is no such axis.
    """
    axis_size(where, layout.mesh, axis)
    whole, rows = PartitionSpec(), PartitionSpec(axis)
    split = cast(Any, Sums)(spec, *[whole] * 4)

    def computed(
        loss: LossFn, params: Params, batch: Batch, ctx: Context, *, scale: Any = 1.0, **options: Any
    ) -> tuple[Sums, Any]:
        # without check_vma: with it the gradient would come summed already
        @shard_map(layout.mesh, axis, (whole, rows, whole, whole), (split, rows), check_vma=False)
        def of_part(params: Params, batch: Batch, ctx: Context, scale: Any) -> tuple[Sums, Any]:
            own = ctx.fold(jax.lax.axis_index(axis))  # or every part would have the same noise
            with use_layout(layout_inside(layout)):
                sums, results = gradient_sums(loss, params, batch, own, scale=scale, **options)
            total = all_reduce_sums(sums._replace(gradients={}), axis)
            return total._replace(gradients=finish(sums.gradients)), results

        return of_part(params, batch, ctx, scale)

    return computed
