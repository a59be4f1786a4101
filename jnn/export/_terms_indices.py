"""Primitives that read or write elements by their indices, in terms of others: rules, as in `_terms_elements`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda _, new: new,
    "scatter-add": lax.add,
    "scatter-mul": lax.mul,
    "scatter-min": lax.min,
    "scatter-max": lax.max,
}


def scattered(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter-add` and its kind: windows one after another, without those that do not lie inside."""
    dims, combine = eqn.params["dimension_numbers"], COMBINED[eqn.primitive.name]
    kept = [axis for axis in range(updates.ndim) if axis not in dims.update_window_dims]
    dropped = (*dims.inserted_window_dims, *dims.operand_batching_dims)
    sizes = iter(updates.shape[axis] for axis in dims.update_window_dims)
    window = tuple(1 if axis in dropped else next(sizes) for axis in range(x.ndim))
    count = math.prod(indices.shape[:-1])
    rows = lax.transpose(updates, (*kept, *dims.update_window_dims)).reshape(count, *window)
    starts = _starts(dims, indices, x.ndim).reshape(count, x.ndim)
    ends = np.subtract(x.shape, window).astype(np.int32)[None]
    clipped = jnp.minimum(jnp.maximum(starts, 0), ends)
    inside = jnp.all(starts == clipped, -1) | _clips(eqn)

    def step(x: Any, row: Sequence[Any]) -> tuple[Any, None]:
        start, there, new = row
        old = lax.dynamic_slice(x, start, window)
        return lax.dynamic_update_slice(
            x, lax.select(jnp.broadcast_to(there, window), combine(old, new), old), start
        ), None

    return lax.scan(step, x, (clipped, inside, rows))[0]


def scattered_of_batches(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter` for what knows it of one batch alone, and drops what lies outside."""
    plain = not eqn.params["dimension_numbers"].operand_batching_dims and not _clips(eqn)
    return None if plain else scattered(eqn, x, indices, updates)


def scattered_by_all_indices(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter` of batches: where the place in the batch is an index, too."""
    dims = eqn.params["dimension_numbers"]
    if not dims.operand_batching_dims:
        return None
    places = [lax.broadcasted_iota(jnp.int32, indices.shape, axis) for axis in dims.scatter_indices_batching_dims]
    whole = lax.concatenate([*(place[..., :1] for place in places), indices], indices.ndim - 1)
    flat = lax.ScatterDimensionNumbers(
        dims.update_window_dims,
        tuple(sorted((*dims.inserted_window_dims, *dims.operand_batching_dims))),
        (*dims.operand_batching_dims, *dims.scatter_dims_to_operand_dims),
    )
    return eqn.primitive.bind(x, whole, updates, **eqn.params | {"dimension_numbers": flat})


def _clips(eqn: Any) -> bool:
    return eqn.params["mode"] is not None and eqn.params["mode"].name == "CLIP"


def _starts(dims: Any, indices: Any, rank: int) -> Any:
    """Where windows begin, on all axes of the operand."""
    columns = [jnp.zeros(indices.shape[:-1], jnp.int32)] * rank
    for i, axis in enumerate(dims.scatter_dims_to_operand_dims):
        columns[axis] = indices[..., i].astype(jnp.int32)
    for axis, own in zip(dims.operand_batching_dims, dims.scatter_indices_batching_dims, strict=True):
        columns[axis] = lax.broadcasted_iota(jnp.int32, indices.shape[:-1], own)
    return jnp.stack(columns, -1)


def gathered_of_one(eqn: Any, x: Any, _: Any) -> Any:
    """`gather` of windows that are the whole, wherever they are said to be."""
    dims, out = eqn.params["dimension_numbers"], eqn.outvars[0].aval.shape
    if tuple(eqn.params["slice_sizes"]) != x.shape or eqn.params["mode"].name not in ("CLIP", "PROMISE_IN_BOUNDS"):
        return None
    kept = [
        n for axis, n in enumerate(x.shape) if axis not in (*dims.collapsed_slice_dims, *dims.operand_batching_dims)
    ]
    return lax.broadcast_in_dim(lax.reshape(x, kept), out, dims.offset_dims)
