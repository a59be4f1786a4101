"""A mesh of devices from a short string.

    mesh("data=4,fsdp=8,tensor=2") -> jax.sharding.Mesh

| axis      | what its devices share                                                     |
|-----------|----------------------------------------------------------------------------|
| `slice`   | the batch, between slices of a pod, over the slow network                  |
| `stage`   | the layers, one run of them after another (pipeline)                       |
| `data`    | the batch, with all parameters on each                                     |
| `fsdp`    | the batch, with a piece of every parameter on each                         |
| `expert`  | the experts of a mixture                                                   |
| `context` | the time axis                                                              |
| `tensor`  | heads, hidden units and the vocabulary                                     |

Laws: axes come in the order of the table, whatever the string's: what talks most, last, so that it has the closest
neighbours; they are all of type Auto; several slices lie along the first axis that they divide, so that no other
crosses between them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

AXES = ("slice", "stage", "data", "fsdp", "expert", "context", "tensor")


def mesh(text: str, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh that a string such as `data=4,fsdp=8` describes.

    Args:
      text: `axis=size`, separated by commas; one size may be -1, which is what the others leave.
      devices: to be used, all of them; those of all processes by default. Devices of a topology that is only
        described (`jax.experimental.topologies`) will do.

    Returns:
      A mesh with the axes of the text, of type Auto.

    Raises:
      ValueError: the text is not of that form, names an axis twice or one that is not in the table, or its sizes do
        not make up the number of devices; or slices that no axis can be spread over.

    >>> mesh("tensor=1,data=-1", jax.devices()[:1]).axis_names
    ('data', 'tensor')
    """
    devices = jax.devices() if devices is None else list(devices)
    sizes = _fill(text, _parse(text), len(devices))
    names = tuple(name for name in AXES if name in sizes)
    shape = [sizes[name] for name in names]
    return Mesh(_arrange(text, names, shape, devices), names, axis_types=(AxisType.Auto,) * len(names))


def _parse(text: str) -> dict[str, int]:
    """`{"data": 4, "fsdp": -1}`, in the order of the text."""
    sizes: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\w+)\s*=\s*(-1|[1-9]\d*)\s*", part)
        if match is None:
            raise ValueError(f"mesh: expected a string such as 'data=4,fsdp=8', found {part!r} in {text!r}.")
        name, size = match.groups()
        if name not in AXES or name in sizes:
            problem = "is named twice" if name in sizes else f"is none of {', '.join(AXES)}"
            raise ValueError(f"mesh: axis {name!r} {problem}, in {text!r}.")
        sizes[name] = int(size)
    return sizes


def _fill(text: str, sizes: dict[str, int], devices: int) -> dict[str, int]:
    """The sizes, with what they leave of the devices in place of -1."""
    free = [name for name, size in sizes.items() if size == -1]
    product = math.prod(size for size in sizes.values() if size != -1)
    if len(free) > 1:
        raise ValueError(f"mesh: one size may be -1, found {len(free)} in {text!r}.")
    if free and devices % product == 0:
        return sizes | {free[0]: devices // product}
    if free or product != devices:
        problem = "divide" if free else "make up"
        raise ValueError(
            f"mesh: the sizes of {text!r} ({product}) do not {problem} the number of devices, {devices}. Change a "
            "size, write -1 for what is left, or give the devices to use."
        )
    return sizes


def _arrange(text: str, names: tuple[str, ...], shape: list[int], devices: list[jax.Device]) -> Any:
    """The devices in that shape, neighbours on the wires as near in the mesh as may be."""
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices > 1:
        across = _between_slices(text, names, shape, slices)
        within = [size // count for size, count in zip(shape, across, strict=True)]
        return mesh_utils.create_hybrid_device_mesh(within, across, devices, allow_split_physical_axes=True)
    try:
        return mesh_utils.create_device_mesh(shape, devices)
    except NotImplementedError:  # the axes do not fall onto whole axes of the torus: let them share one
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)


def _between_slices(text: str, names: tuple[str, ...], shape: list[int], slices: int) -> list[int]:
    """How many slices each axis spans: `slice` all of them, or where there is none the first that can."""
    for i, (name, size) in enumerate(zip(names, shape, strict=True)):
        fits = size == slices if name == "slice" else "slice" not in names and size % slices == 0
        if fits and name in ("slice", "stage", "data", "fsdp"):
            return [slices if j == i else 1 for j in range(len(shape))]
    raise ValueError(f"mesh: the devices lie in {slices} slices, which {text!r} does not say. Add slice={slices}.")
