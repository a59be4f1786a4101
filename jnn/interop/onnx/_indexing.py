"""Operators that read or write elements by their indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, axis_of, integers, is_known, known, library, like


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    n = x.shape[axis]
    indices = library(indices).where(indices < 0, indices + n, indices)
    return np.take(x, indices, axis) if is_known(x, indices) else jnp.take(x, indices, axis, mode="clip")


def gather_elements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    return library(x, indices).asarray(x)[_elements(x, indices, axis)]


def _elements(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """Of each axis its own index, to broadcast with the others: along one the given ones, of which there may be less
    than x has, along others the first of x."""
    axis = axis_of(axis, x)
    own = [np.arange(n).reshape([-1 if j == i else 1 for j in range(x.ndim)]) for i, n in enumerate(indices.shape)]
    return *own[:axis], library(indices).mod(indices, x.shape[axis]), *own[axis + 1 :]


def gather_nd(x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    where = (*_batches(indices, batch_dims), *library(indices).moveaxis(indices, -1, 0))
    return library(x, indices).asarray(x)[where]


def _batches(indices: Array, batch_dims: int) -> list[np.ndarray]:
    """Of each leading axis its own index, to broadcast with the others."""
    lead = indices.shape[:-1]
    return [np.arange(lead[i]).reshape([-1 if j == i else 1 for j in range(len(lead))]) for i in range(batch_dims)]


def scatter_elements(x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    return _scattered(x, _elements(x, indices, axis), updates, reduction)


def scatter_nd(x: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    return _scattered(x, tuple(library(indices).moveaxis(indices, -1, 0)), updates, reduction)


def _scattered(x: Array, where: Any, updates: Array, reduction: str) -> Array:
    at = jnp.asarray(x).at[where]
    return getattr(at, {"none": "set", "mul": "multiply"}.get(reduction, reduction))(like(updates, x))


def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """All off where an index is out of bounds."""
    (n,) = integers("OneHot", "the depth", depth)
    places = library(indices).where(indices < 0, indices + n, indices)
    hot = library(indices).expand_dims(places, -1) == np.arange(n).reshape((1,) * indices.ndim + (n,))
    return library(hot).moveaxis(library(hot, values).where(hot, values[1], values[0]), -1, axis)


def non_zero(x: Array) -> Array:
    return np.stack(np.nonzero(known("NonZero", "the array", x))).astype(np.int64)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
}
