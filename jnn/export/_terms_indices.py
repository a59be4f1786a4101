"""Primitives that read or write elements by their indices, in terms of others: rules, as in `_terms_elements`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr

from jnn.export._primitives import evaluated

COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda _, new: new,
    "scatter-add": lax.add,
    "scatter-sub": lax.sub,
    "scatter-mul": lax.mul,
    "scatter-min": lax.min,
    "scatter-max": lax.max,
}


def scattered(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter-add` and its kind: windows one after another, without those that do not lie inside."""
    dims, combine = eqn.params["dimension_numbers"], _combined(eqn)
    kept = [axis for axis in range(updates.ndim) if axis not in dims.update_window_dims]
    dropped = (*dims.inserted_window_dims, *dims.operand_batching_dims)
    sizes = iter(updates.shape[axis] for axis in dims.update_window_dims)
    window = tuple(1 if axis in dropped else next(sizes) for axis in range(x.ndim))
    count = math.prod(indices.shape[:-1])
    rows = lax.transpose(updates, (*kept, *dims.update_window_dims)).reshape(count, *window)
    starts = _starts(dims, indices, x.ndim).reshape(count, x.ndim)
    ends = np.subtract(x.shape, window).astype(np.int32)[None]
    if (ends < 0).any():
        return x  # which holds no window
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
    """`scatter` for what knows it of one batch alone, drops what lies outside, and puts what it is given."""
    plain = not eqn.params["dimension_numbers"].operand_batching_dims and not _clips(eqn)
    return scattered_of_functions(eqn, x, indices, updates) if plain else scattered(eqn, x, indices, updates)


def scattered_of_functions(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter` that puts what a function makes of each element: `x.at[...].apply`."""
    return None if eqn.params.get("update_jaxpr") is None else scattered(eqn, x, indices, updates)


def scattered_by_all_indices(eqn: Any, x: Any, indices: Any, updates: Any) -> Any:
    """`scatter` of batches: where the place in the batch is an index, too."""
    dims = eqn.params["dimension_numbers"]
    if not dims.operand_batching_dims:
        return None
    one = (*indices.shape[:-1], 1)
    places = [lax.broadcasted_iota(jnp.int32, one, axis) for axis in dims.scatter_indices_batching_dims]
    whole = lax.concatenate([*places, _places(indices)], indices.ndim - 1)
    flat = lax.ScatterDimensionNumbers(
        dims.update_window_dims,
        tuple(sorted((*dims.inserted_window_dims, *dims.operand_batching_dims))),
        (*dims.operand_batching_dims, *dims.scatter_dims_to_operand_dims),
    )
    return eqn.primitive.bind(x, whole, updates, **eqn.params | {"dimension_numbers": flat})


def _clips(eqn: Any) -> bool:
    return eqn.params["mode"] is not None and eqn.params["mode"].name == "CLIP"


def _combined(eqn: Any) -> Callable[[Any, Any], Any]:
    """What becomes of an old element and a new one."""
    body = eqn.params.get("update_jaxpr")
    if eqn.primitive.name != "scatter" or body is None:
        return COMBINED[eqn.primitive.name]
    program = ClosedJaxpr(body, eqn.params["update_consts"])
    return jnp.vectorize(lambda old, new: evaluated(program, {}, old, new)[0])


def _places(indices: Any) -> Any:
    """Indices in 32 bits: those that are greater lie beyond all that there is, as the greatest does."""
    bounds = jnp.iinfo(indices.dtype)
    least, most = max(bounds.min, -(1 << 31)), min(bounds.max, (1 << 31) - 1)
    return (indices if bounds.max == most else jnp.clip(indices, least, most)).astype(jnp.int32)


def _starts(dims: Any, indices: Any, rank: int) -> Any:
    """Where windows begin, on all axes of the operand."""
    if rank == 0:
        return jnp.zeros((*indices.shape[:-1], 0), jnp.int32)
    columns, places = [jnp.zeros(indices.shape[:-1], jnp.int32)] * rank, _places(indices)
    for i, axis in enumerate(dims.scatter_dims_to_operand_dims):
        columns[axis] = places[..., i]
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
