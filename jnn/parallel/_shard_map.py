"""`jax.shard_map` over some axes of a mesh; along the others arrays lie as they did.

    shard_map(mesh, axes, in_specs, out_specs)(f)      f(pieces) -> pieces, each device's own along `axes`
    vmapped_axis(axis)                                 within: what is traced is mapped by vmap(spmd_axis_name=axis)
    axis_size(where, mesh, axis) -> n                  how many devices, if there is such an axis
    current_mesh(mesh), free_axes(mesh, *axes)         a mesh, and which of its axes are still there, within all this
    layout_inside(layout), layout_without(layout, axis)
                                                    a layout for the layers that are called within

Laws: along other axes all is as without it, so that such algorithms go with data, FSDP and tensor parallelism, and with
each other. JAX has no gradient through two `shard_map`s, one within the other; those here are within a `vmap` (stages)
or within a `shard_map` that gradients are taken inside of (slices), and have one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import jax
from jax.sharding import Mesh, get_abstract_mesh

from jnn.parallel._layout import Layout

_mapped = jax.make_user_context(default_value=())


def shard_map(
    mesh: Mesh, axes: str | tuple[str, ...], in_specs: Any, out_specs: Any, *, check_vma: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function sees pieces along these axes of the mesh, and all of every other axis.

    With `check_vma` JAX knows which arrays differ between devices, and a gradient with respect to one that does not is
    summed over them already; without it a gradient is the device's own.

    Raises:
      ValueError: arrays are pieces along one of the axes already.
    """
    names = {axes} if isinstance(axes, str) else set(axes)
    if taken := names & set(current_mesh(mesh).manual_axes):
        raise ValueError(
            f"shard_map: arrays are pieces along {', '.join(sorted(taken))} already, in the shard_map that this is "
            "called in. Call it outside, or give that shard_map other axes."
        )
    around: tuple[str, ...] = _mapped.value
    return partial(
        jax.shard_map,
        mesh=current_mesh(mesh),
        in_specs=in_specs,
        out_specs=out_specs,
        axis_names=names | set(around),  # vmap puts its own into the specs
        check_vma=check_vma and not around,  # and arrays that f makes are not yet known to differ along them
    )


@contextlib.contextmanager
def vmapped_axis(axis: str) -> Iterator[None]:
    """Says that what is traced within is mapped over an axis of the mesh, by `jax.vmap(..., spmd_axis_name=axis)`."""
    with _mapped((*_mapped.value, axis)):
        yield


def axis_size(where: str, mesh: Mesh, axis: str) -> int:
    """How many devices lie along an axis; raises ValueError where there is no such axis."""
    if axis not in mesh.axis_names:
        raise ValueError(f"{where}: the mesh has axes {', '.join(mesh.axis_names)}, no {axis!r}. Add {axis}=...")
    return mesh.shape[axis]


def current_mesh(mesh: Mesh) -> Mesh:
    """The mesh as it is here: within `shard_map` an abstract one, which knows what is taken."""
    here = get_abstract_mesh()
    return cast(Mesh, here) if here.manual_axes else mesh


def free_axes(mesh: Mesh, *axes: str) -> tuple[str, ...]:
    """Those of the axes that the mesh has, and that arrays are neither pieces along nor mapped over."""
    taken = {*current_mesh(mesh).manual_axes, *_mapped.value}
    return tuple(axis for axis in axes if axis in mesh.axis_names and axis not in taken)


def layout_inside(layout: Layout) -> Layout:
    """A layout for what is traced within `shard_map`: by the axes of the mesh that are not taken."""
    mesh = current_mesh(layout.mesh)
    return dataclasses.replace(layout, mesh=mesh, named={k: free_axes(mesh, *axes) for k, axes in layout.named.items()})


def layout_without(layout: Layout, axis: str) -> Layout:
    """A layout by which activations lie nowhere along an axis."""
    named = {name: tuple(a for a in axes if a != axis) for name, axes in layout.named.items()}
    return dataclasses.replace(layout, named=named)
