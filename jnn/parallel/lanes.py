"""Reduction lanes: the same sums in the same order, however many devices share the work.

    sharded_step(loss, optimizer, key, layout, lanes=8)

A float sum depends on its order, and devices that each add up their own rows change it. With L lanes the batch is cut
into L runs of rows; each run's gradient is computed by itself, at one shape, on whichever device has it; and the L
gradients are added from the first lane to the last, everywhere.

Laws: lanes are micro-batches, with noise and batch statistics of their own; losses and parameters do not depend on the
number of devices, bit for bit where a backend compiles one shape to one code.

It costs L whole gradients of memory and of traffic on each device, where a sum in any order would cost one.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from jnn.axes import laid_out
from jnn.parallel.layers.spread import alone
from jnn.parallel.layout import Layout, count
from jnn.param import Params
from jnn.program import COMPILER_OPTIONS, Program
from jnn.train.objective import Batch, LossFn, Metrics, gradient
from jnn.train.step import Gradient


def lane_gradient(layout: Layout, lanes: int) -> Gradient:
    """`jnn.train.objective.gradient` of L lanes, for `make_step(gradient=...)`.

    Args:
      layout: from `jnn.parallel.layout`; the devices that share the batch share the lanes.
      lanes: a multiple of their number.

    Raises:
      ValueError: lanes cannot be shared equally, or the mesh has an axis that does not share the batch: a lane is
        computed on one device.
    """
    axes = layout.named["batch"]
    devices = count(layout.mesh, axes)
    if devices != layout.mesh.size:
        raise ValueError(f"lanes: each is computed on one device, so every mesh axis must share the batch; {axes} do.")
    if lanes < 1 or lanes % devices:
        raise ValueError(f"lanes: expected a multiple of the {devices} devices that share the batch, found {lanes}.")

    def in_order(
        loss: LossFn, params: Params, batch: Batch, key: jax.Array, microbatches: int, dtype: DTypeLike | None
    ) -> tuple[Params, Any, Metrics]:
        def lane(params: Params, part: Batch, key: jax.Array) -> tuple[Params, Any, Metrics]:
            # between barriers: what is compiled for a lane does not depend on what is around it
            params, part, key = jax.lax.optimization_barrier((params, part, key))
            grads, stats, metrics = gradient(loss, params, part, key, microbatches, dtype)
            return jax.lax.optimization_barrier((_times(metrics["loss"].weight, grads), stats, metrics))

        def here(params: Params, parts: Batch, keys: jax.Array) -> Any:
            with laid_out(None), alone():  # a lane is one device's own
                return jax.lax.map(lambda part: lane(params, *part), (parts, keys))

        each, whole = PartitionSpec(axes), PartitionSpec()
        # without check_vma a gradient is the device's own; with it, it would come summed already
        everywhere = jax.shard_map(
            here, mesh=layout.mesh, in_specs=(whole, each, each), out_specs=each, check_vma=False
        )
        results = everywhere(params, _parts(batch, lanes), _keys(key, lanes))
        results = jax.lax.with_sharding_constraint(results, NamedSharding(layout.mesh, whole))
        grads, stats, metrics = jax.tree.map(_add_in_order, jax.lax.optimization_barrier(results))
        weight = metrics["loss"].weight
        stats = jax.tree.map(lambda s: s / lanes, stats)
        return jax.lax.optimization_barrier((_times(1 / jnp.where(weight == 0, 1.0, weight), grads), stats, metrics))

    return in_order


def lane_program(f: Callable[..., Any], layout: Layout) -> Any:
    """`f` compiled, its first argument donated, so that a lane's code is the same whatever the number of devices.

    XLA:CPU's algebraic simplifier turns a division by a softmax's sum into a product, or does not, depending on what
    ran before it, and what runs before it is not the same on one device and on several: there it is left out. So are
    LLVM's optimizations, which join a product and a sum into one rounding, or do not, by what stands around them;
    matrix products are a library's and as fast as ever.
    """
    if layout.mesh.devices.flat[0].platform != "cpu":
        return Program(f, "step", donate_argnums=(0,))
    options = COMPILER_OPTIONS["step"] | {"xla_disable_hlo_passes": "algsimp", "xla_backend_optimization_level": 0}
    return jax.jit(f, donate_argnums=(0,), compiler_options=options)


def _parts(batch: Batch, lanes: int) -> Batch:
    """(lanes, rows of a lane, ...): a batch in order stays on the devices that it is on."""
    rows = jax.tree.leaves(batch)[0].shape[0]
    if rows % lanes:
        raise ValueError(f"lanes: {lanes} of them do not divide the {rows} rows of the batch.")
    return jax.tree.map(lambda x: x.reshape(lanes, -1, *x.shape[1:]), batch)


def _keys(key: jax.Array, lanes: int) -> jax.Array:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(lanes))


def _add_in_order(x: jax.Array) -> jax.Array:
    return functools.reduce(operator.add, x)


def _times(factor: jax.Array, grads: Params) -> Params:
    return optax.tree.scale(factor, grads)
