"""`jax.shard_map` over some axes of a mesh; along the others arrays lie as they did.

    over(mesh, axes, in_specs, out_specs)(f)        f(pieces) -> pieces, each device's own along `axes`
    count(where, mesh, axis) -> n                   how many devices, if there is such an axis
    inside(layout) -> layout                        for the layers that f calls

Laws: along other axes all is as without it, so that one such algorithm goes with data, FSDP and tensor parallelism. Two
of them, one within the other, are an error: JAX 0.10 to 0.12 cannot lower the gradient of nested `shard_map`s.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
from jax.sharding import Mesh, get_abstract_mesh

from jnn.parallel.layout import Layout


def over(
    mesh: Mesh, axes: str | tuple[str, ...], in_specs: Any, out_specs: Any, *, check_vma: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function sees pieces along these axes of the mesh, and all of every other axis.

    With `check_vma` JAX knows which arrays differ between devices, and a gradient with respect to one that does not is
    summed over them already; without it a gradient is the device's own.

    Raises:
      ValueError: this is within another one.
    """
    names = {axes} if isinstance(axes, str) else set(axes)
    if taken := get_abstract_mesh().manual_axes:
        raise ValueError(
            f"over: {', '.join(sorted(names))} cannot be shared within what is shared along {', '.join(taken)}: JAX "
            "has no gradient of that. Leave one of the two axes out of the mesh."
        )
    return partial(
        jax.shard_map, mesh=mesh, in_specs=in_specs, out_specs=out_specs, axis_names=names, check_vma=check_vma
    )


def count(where: str, mesh: Mesh, axis: str) -> int:
    """How many devices lie along an axis; raises ValueError where there is no such axis."""
    if axis not in mesh.axis_names:
        raise ValueError(f"{where}: the mesh has axes {', '.join(mesh.axis_names)}, no {axis!r}. Add {axis}=...")
    return mesh.shape[axis]


def inside(layout: Layout | None) -> Layout | None:
    """A layout for what is traced within `over`: by the axes of the mesh that are not taken."""
    if layout is None:
        return None
    mesh = get_abstract_mesh()
    free = {name: tuple(axis for axis in axes if axis not in mesh.manual_axes) for name, axes in layout.named.items()}
    # an abstract mesh does all that a layout asks of one
    return dataclasses.replace(layout, mesh=cast(Mesh, mesh), named=free)
