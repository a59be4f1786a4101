"""Reduction lanes: the same sums in the same order, however many devices share the work.

    sharded_step(loss, optimizer, key, layout, lanes=8)

A float sum depends on its order, and devices that each add up their own rows change it. With L lanes the batch is cut
into L runs of rows; each run's gradient is computed by itself, at one shape, on whichever device has it; and the L
gradients are added from the first lane to the last, everywhere.

Laws: lanes are micro-batches, with noise and batch statistics of their own; losses and parameters do not depend on the
number of devices, bit for bit where a backend compiles one shape to one code.

They are compiled as "lanes" (`jnn.program`), so that a lane's code is the same whatever the number of devices.
XLA:CPU's algebraic simplifier turns a division by a softmax's sum into a product, or does not, depending on what
ran before it, and what runs before it is not the same on one device and on several: there it is left out. So are
LLVM's optimizations, which join a product and a sum into one rounding, or do not, by what stands around them;
matrix products are a library's and as fast as ever.

It costs L whole gradients of memory and of traffic on each device, where a sum in any order would cost one; and the
optimizer's part of the update is computed whole on every device, so that no norm is summed in pieces.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jnn import checks
from jnn.axes import use_layout
from jnn.parallel._global_arrays import replicate
from jnn.parallel._layout import Layout, devices_along
from jnn.parallel._reduce import ordered_sum
from jnn.parallel.layers._model_parallel import single_device
from jnn.param import Params
from jnn.train import AddUp, Batch, Context, LossFn, Sums, gradient_sums


def lane_sums(layout: Layout, lanes: int) -> AddUp:
    """Reduction lanes: `jnn.train.gradient_sums` of L lanes, for `update(sums=...)`.

    Args:
      layout: from `jnn.parallel.layout`; the devices that share the batch share the lanes.
      lanes: a multiple of their number.

    Raises:
      ValueError: lanes cannot be shared equally, or the mesh has an axis that does not share the batch: a lane is
        computed on one device.
    """
    axes = layout.named["batch"]
    devices = devices_along(layout.mesh, axes)
    if devices != layout.mesh.size:
        raise ValueError(f"lanes: each is computed on one device, so every mesh axis must share the batch; {axes} do.")
    if lanes < 1 or lanes % devices:
        raise ValueError(f"lanes: expected a multiple of the {devices} devices that share the batch, found {lanes}.")

    def of_lanes(
        loss: LossFn, params: Params, batch: Batch, ctx: Context, *, scale: Any = 1.0, **options: Any
    ) -> tuple[Sums, Any]:
        def lane(known: Any, part: Batch, number: jax.Array) -> tuple[Sums, Any]:
            # between barriers: what is compiled for a lane does not depend on what is around it
            (params, ctx, scale), part = jax.lax.optimization_barrier((known, part))
            found = gradient_sums(loss, params, part, ctx.fold(number), scale=scale, **options)
            return jax.lax.optimization_barrier(found)

        def here(known: Any, parts: Batch, numbers: jax.Array) -> Any:
            with use_layout(None), single_device():  # a lane is one device's own
                return jax.lax.map(lambda part: lane(known, *part), (parts, numbers))

        each, whole = PartitionSpec(axes), PartitionSpec()
        # without check_vma a gradient is the device's own; with it, it would come summed already
        everywhere = jax.shard_map(
            here, mesh=layout.mesh, in_specs=(whole, each, each), out_specs=each, check_vma=False
        )
        sums, rows = everywhere((params, ctx, scale), _parts(batch, lanes), jnp.arange(lanes))
        sums = replicate(sums, layout)
        return ordered_sum(jax.lax.optimization_barrier(sums)), jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]), rows
        )

    return of_lanes


def _parts(batch: Batch, lanes: int) -> Batch:
    """(lanes, rows of a lane, ...): a batch in order stays on the devices that it is on."""
    checks.divides("train step", jax.tree.leaves(batch)[0].shape[0], lanes=lanes)
    return jax.tree.map(lambda x: x.reshape(lanes, -1, *x.shape[1:]), batch)
