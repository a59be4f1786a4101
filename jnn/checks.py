"""Errors that teach: what a layer was given, what it expected, what to do. Trace-time only.

Shapes and dtypes are static under `jit`, so these checks cost nothing when a compiled step runs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def describe(x: jax.Array) -> str:
    """`float32[8,128]`, as JAX prints types."""
    return f"{x.dtype}[{','.join(map(str, x.shape))}]"


def floats(layer: str, x: jax.Array, *, ndim: int = 1) -> None:
    """Raises unless x is a non-empty float array of rank >= ndim."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{layer}: expected floating-point input, found {describe(x)}. Cast it: x.astype(jnp.float32).")
    rank(layer, x, ndim)


def trailing(layer: str, x: jax.Array, sizes: tuple[int, ...]) -> None:
    """Raises unless x's last axes have these sizes: the ones that the parameters were declared with."""
    if x.shape[x.ndim - len(sizes) :] != sizes:
        want = ",".join(("...", *map(str, sizes)))
        raise ValueError(f"{layer}: its parameters expect input [{want}], found {describe(x)}.")


def integers(layer: str, x: jax.Array, *, ndim: int = 0) -> None:
    """Raises unless x is a non-empty integer array of rank >= ndim."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(f"{layer}: expected integers, found {describe(x)}. Cast it: x.astype(jnp.int32).")
    rank(layer, x, ndim)


def rank(layer: str, x: jax.Array, ndim: int) -> None:
    """Raises unless x has rank >= ndim and at least one element."""
    if x.ndim < ndim:
        raise ValueError(f"{layer}: expected an array of rank {ndim} or more, found {describe(x)}.")
    if x.size == 0:
        raise ValueError(f"{layer}: expected at least one example, found the empty array {describe(x)}.")


def same_shape(layer: str, **arrays: jax.Array) -> None:
    """Raises unless all arrays have one shape: a loss never broadcasts in silence."""
    if len({a.shape for a in arrays.values()}) > 1:
        found = ", ".join(f"{name} {describe(a)}" for name, a in arrays.items())
        raise ValueError(f"{layer}: expected equal shapes, found {found}.")
    for a in arrays.values():
        rank(layer, a, 0)


def in_range(layer: str, labels: jax.Array, classes: int, *, what: str = "labels", of: str = "classes") -> None:
    """Raises if concrete labels leave 0..classes-1. Under `jit` values are unknown: nothing is checked."""
    if isinstance(labels, jax.core.Tracer):
        return
    values = np.asarray(labels)  # in NumPy: while something else is traced, even jnp.min(constant) is a tracer
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{layer}: expected {what} in 0..{classes - 1} ({classes} {of}), found {low}..{high}.")


def in_unit_interval(layer: str, what: str, x: jax.Array) -> None:
    """Raises if concrete values leave [0, 1], as NaN does. Under `jit` values are unknown: nothing is checked."""
    if isinstance(x, jax.core.Tracer):
        return
    values = np.asarray(x)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{layer}: expected {what} in [0, 1], found values from {values.min()} to {values.max()}.")
