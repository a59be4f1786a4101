"""What is wrong with a step that runs: sentences, each with what to do.

    unsharded(layout) -> [sentence, ...]                 parameters that are whole where they need not be
    whole_batch(program, prepared) -> [sentence, ...]    activations that every device has of the whole batch
    in_vain(program) -> [sentence, ...]                  donations that no output took over
    float32(counted, dtype) -> [sentence, ...]           products that a policy did not reach

Law: what is small costs nothing: a parameter of 65,536 numbers, or a thousandth of all; an activation of as many; a
thousandth of the FLOPs.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Collection

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.inspect import Flops, array_types, format_bytes, largest, not_aliased
from jnn.parallel import PARAMETERS, Layout, devices_along, rule_axes
from jnn.param import count_params as count_parameters
from jnn.param import flatten
from jnn.preflight._communication import SMALL
from jnn.preflight._compile import Prepared

_SHARE = ("fsdp", "tensor", "expert")  # mesh axes that exist to cut parameters


def unsharded(layout: Layout) -> list[str]:
    """Parameters that are whole on each of an axis's devices, though it divides one of their dimensions."""
    params, placed = flatten(layout.spec), flatten(layout.parameters)
    least = max(SMALL, count_parameters(layout.spec) / 1000)
    found = []
    for axis in (a for a in layout.mesh.axis_names if a in _SHARE and layout.mesh.shape[a] > 1):
        ruled = {name for name, rule in PARAMETERS.items() if rule == axis}
        for path, param in params.items():
            if math.prod(param.shape) <= least or axis in {
                name for rule in placed[path].spec for name in rule_axes(rule)
            }:
                continue
            local = zip(param.axes, placed[path].shard_shape(param.shape), strict=True)
            free = [name for name, size in local if name != "layers" and size % layout.mesh.shape[axis] == 0]
            if free and not (axis == "tensor" and not ruled & set(param.axes)):
                found.append(
                    f"parameter {path} {param.shape} is whole along {axis}, which divides its {free[0]!r}: give a rule"
                )
    return found


def whole_batch(program: jax.stages.Compiled | str, prepared: Prepared, n: int = 50) -> list[str]:
    """Values among the n largest that begin with the whole batch's rows, where devices share the batch.

    Sizes alone are told apart here: what begins with a device's own rows has the batch in pieces, whatever comes after,
    and what is shaped as a parameter is taken for one.
    """
    layout, job = prepared.layout, prepared.job
    devices = devices_along(layout.mesh, layout.named["batch"])
    if devices == 1:
        return []
    rows = job.rows // job.microbatches
    first = next((x.shape for x in jax.tree.leaves(job.batch) if len(x.shape) > 1), (rows,))
    found, shaped = dict[str, int](), _parameters(layout)
    sizes = {size for shape in shaped for size in (*shape, math.prod(shape))}
    for value in largest(program, n):
        large = [(dtype, shape) for dtype, shape in array_types(value.type) if 10 * 4 * math.prod(shape) > value.bytes]
        shapes = [shape for dtype, shape in large if dtype.startswith(("f", "bf"))]  # a kernel's own blocks are small
        shapes = [shape for shape in shapes if math.prod(shape) > SMALL and shape not in shaped]
        if any(_begins(shape, rows, rows // devices, first[1:2], sizes) for shape in shapes):
            found[str(value.place)] = max(value.bytes, found.get(str(value.place), 0))
    return [
        f"the whole batch of {rows} rows is on each of the {devices} devices that share it: {format_bytes(size)} at "
        f"{place}: name the axes of activations by jnn.axes.constrain"
        for place, size in found.items()
    ]


def _begins(shape: tuple[int, ...], rows: int, own: int, following: tuple[int, ...], sizes: Collection[int]) -> bool:
    """Whether a shape is (rows, ...), or (layers, rows, ...): sure by what follows, or by a number of its own."""
    if shape[0] == own:
        return False  # these are the rows; a size as large as the batch's is another axis's, such as time
    for at in range(min(2, len(shape) - 1)):
        merged = rows * following[0] if following else 0  # with the axis after it, as (rows * time, ...)
        if shape[at] in (rows, merged) and shape[at] not in sizes:
            return True
        if shape[at] == rows and shape[at + 1 : at + 2] == following:
            return True
    return False


def _parameters(layout: Layout) -> set[tuple[int, ...]]:
    """Every shape that a parameter has: whole or in pieces, of all layers or of one."""
    params, placed = flatten(layout.spec), flatten(layout.parameters)
    shapes = {shape for path, p in params.items() for shape in (p.shape, placed[path].shard_shape(p.shape))}
    return shapes | {shape[1:] for shape in shapes}


def in_vain(program: jax.stages.Compiled) -> list[str]:
    """Parts of the state whose memory the new state does not take over."""
    names = not_aliased(program)
    return [f"donated in vain: {name}; its new value lies otherwise, or is of another dtype" for name in names]


def float32(counted: Flops, dtype: DTypeLike | None) -> list[str]:
    """Products of float32 by float32 in a step whose policy is a narrower dtype, by source line."""
    if dtype is None or jnp.dtype(dtype) == jnp.float32:
        return []
    sums: collections.Counter[str] = collections.Counter()
    for operation in counted.operations:
        if operation.shapes and all(shape.startswith(("float32", "f32")) for shape in operation.shapes[:2]):
            sums[str(operation.place)] += int(operation.hardware)
    name = jnp.dtype(dtype).name
    return [
        f"{work / counted.hardware:.1%} of the FLOPs are float32 products under a {name} policy, at {place}"
        for place, work in sums.most_common()
        if work > counted.hardware / 1000
    ]
