"""A function of one member, over all of them: as the backend's table says, and over several devices.

    over_members(f, shared, members, mesh, block) -> results         f(shared, member) -> result

Law: the results are those of f by itself, to the order of sums; one by one and side by side are the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jnn import backend

AXIS = "member"


def over_members(
    f: Callable[[Any, Any], Any], shared: Any, members: Any, *, mesh: Mesh | None, block: int | None
) -> Any:
    """The results of all members along a leading axis.

    Args:
      f: what all share, and one member -> a result.
      shared: the same for all of them, and on every device.
      members: a pytree of arrays (members, ...).
      mesh: of the axis along which they are shared out; None for one device.
      block: how many at a time go side by side, where members go one after another.
    """
    here = partial(_here, f, block)
    if mesh is None:
        return here(shared, members)
    return jax.shard_map(here, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(AXIS), check_vma=False)(shared, members)


def _here(f: Callable[[Any, Any], Any], block: int | None, shared: Any, members: Any) -> Any:
    if backend.choose("members") == "side_by_side":
        return jax.vmap(partial(f, shared))(members)
    return jax.lax.map(partial(f, shared), members, batch_size=block)


def mesh_of(devices: Sequence[jax.Device] | None) -> Mesh | None:
    """A mesh of the axis "member"; None for one device, that of JAX's default.

    Raises:
      ValueError: their number is no power of two, into which members are packed.
    """
    if devices is None:
        return None
    if len(devices) == 0 or len(devices) & (len(devices) - 1):
        raise ValueError(f"Sweep: expected a power of two of devices, found {len(devices)}. Give jax.devices()[:8].")
    return jax.make_mesh((len(devices),), (AXIS,), devices=list(devices), axis_types=(AxisType.Auto,))


def put(tree: Any, mesh: Mesh | None, *, split: bool) -> Any:
    """The tree on the devices: of each array some rows on each, or all of it."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, tree)
    return jax.device_put(tree, NamedSharding(mesh, P(AXIS) if split else P()))
