"""Between a mesh and what one process holds whole.

split_batch(batch, layout) -> batch         every process knows the whole batch: its devices' rows are put there
replicate(tree, layout) -> tree      within a program: every array whole, on every device
local(tree) -> tree                         every array whole, on this process's first device
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jnn.parallel._batch import check_rows, put_batch
from jnn.parallel._layout import Layout
from jnn.train import Batch


def split_batch(batch: Batch, layout: Layout, *, calls: int = 1) -> Batch:
    """A batch that every process knows whole, such as one of `Batches`, on the devices that share it.

    (`put_batch` takes the rows of a process's own devices, such as those of `SourceBatches`.)

    Args:
      batch: arrays of the host, the same in each process.
      layout: from `jnn.parallel.layout`.
      calls: as `steps_per_call`: more than 1 for batches with an axis of steps in front of the rows.

    Raises:
      ValueError: the devices do not divide the rows.

    >>> import jnn.parallel
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 1), "data=-1")
    >>> split_batch({"x": np.ones((8, 3))}, place)["x"].sharding.spec
    P('data',)
    """
    if jax.process_count() == 1:
        return put_batch(batch, layout, calls=calls)
    sharding, axis = layout.batch(calls), int(calls > 1)
    own = jax.tree.map(np.asarray, batch)
    rows = sharding.shard_shape((1,) * axis + (sharding.mesh.size,))[axis]
    check_rows("split_batch", own, sharding.mesh.size // rows, axis)
    return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, sharding, x.__getitem__), own)


def replicate(tree: Any, layout: Layout) -> Any:
    """The tree, whole on every device.

    With lanes all of an update is computed so: a norm of gradients, or of a parameter, that each device had a piece of
    would be summed in another order on another number of devices.
    """
    return jax.lax.with_sharding_constraint(tree, NamedSharding(layout.mesh, PartitionSpec()))


def local(tree: Any) -> Any:
    """Arrays as this process can use them alone: whole, on its first device. All processes must call.

    >>> local({"w": jax.numpy.ones(3)})["w"].sharding
    SingleDeviceSharding(device=CpuDevice(id=0), memory_kind=...)
    """
    return jax.tree.map(_local, tree)


def _local(x: jax.Array) -> jax.Array:
    if isinstance(x.sharding, NamedSharding):
        x = _whole(x.sharding.mesh)(x).addressable_data(0)
    return jax.device_put(x, jax.local_devices()[0])


@functools.cache
def _whole(mesh: Any) -> Any:
    return jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))
