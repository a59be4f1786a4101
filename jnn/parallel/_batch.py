"""Batches, from the host to the devices that share them.

put_batch(batch, layout) -> batch           arrays on the mesh, each process's own rows on its own devices
check_rows(where, batch, devices)           raises unless the devices divide the rows
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax.sharding import NamedSharding

from jnn import checks
from jnn.parallel._layout import Layout
from jnn.param import flatten
from jnn.train import Batch


def put_batch(batch: Batch, layout: Layout, *, calls: int = 1) -> Batch:
    """Batch on the devices that share it; what is there already stays.

    Args:
      batch: arrays of the host, in each process the rows of its own devices; or jax arrays.
      layout: from `jnn.parallel.layout`.
      calls: as `steps_per_call`: more than 1 for batches with an axis of steps in front of the rows.

    Raises:
      ValueError: the devices do not divide the rows, or several processes hold the same ones: each may have others.

    >>> import jnn.parallel
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 1), "data=-1")
    >>> put_batch({"x": np.ones((8, 3))}, place)["x"].sharding.spec
    P('data',)
    """
    sharding, axis = layout.batch(calls), int(calls > 1)
    own = jax.tree.map(lambda x: x if isinstance(x, jax.Array) else np.asarray(x), batch)
    checks.held_all("put_batch", own)
    if jax.process_count() == 1:
        check_rows("put_batch", own, _pieces(sharding, axis), axis)
        return jax.device_put(own, sharding)
    local = jax.tree.map(lambda x: None if isinstance(x, jax.Array) else x, own)
    if jax.tree.leaves(local) and (sharing := _sharing(sharding, axis)):
        raise ValueError(
            f"put_batch: the devices of processes {', '.join(map(str, sharing))} hold the same rows, since an axis of "
            f"the mesh that shares no batch lies across them: {dict(sharding.mesh.shape)}. Give every process the "
            "whole batch, by sharded_step(..., whole_batches=True) or split_batch."
        )
    check_rows("put_batch", local, _pieces(sharding, axis), axis)
    put = lambda x: x if isinstance(x, jax.Array) else jax.make_array_from_process_local_data(sharding, x)
    return jax.tree.map(put, own)


def check_rows(where: str, batch: Batch, devices: int, axis: int = 0) -> None:
    """Raises ValueError unless every leaf has an axis of rows that the devices divide."""
    for name, x in flatten(batch).items():
        if x.ndim <= axis:
            expected = "(steps, rows, ...), for steps_per_call" if axis else "(rows, ...)"
            raise ValueError(f"{where}: expected leaves {expected}, found batch/{name} {x.shape}.")
        checks.divides(where, x.shape[axis], of=f"batch/{name} {x.shape}", devices=devices)


@functools.cache
def _sharing(sharding: NamedSharding, axis: int) -> tuple[int, ...]:
    """Processes whose devices hold the same rows, if there are any."""
    shape = (1,) * axis + (sharding.mesh.size,)
    places = sharding.devices_indices_map(shape)
    holders: dict[tuple[int, ...], set[int]] = {}
    for device in sharding.mesh.devices.flat:
        holders.setdefault(places[device][axis].indices(shape[axis]), set()).add(device.process_index)
    return next((tuple(sorted(each)) for each in holders.values() if len(each) > 1), ())


def _pieces(sharding: NamedSharding, axis: int) -> int:
    """Into how many pieces the rows are cut that lie on this process's devices."""
    shape = (1,) * axis + (sharding.mesh.size,)
    places = sharding.addressable_devices_indices_map(shape).values()
    return len({place[axis].indices(shape[axis]) for place in places if place is not None})
