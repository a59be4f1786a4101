"""What is done to the inputs of a weight that is kept in parts, before they are multiplied.

    {"input_factors": (*d_in,)}              multiplied by them (AWQ)
    {"float": w, "input_scale": ()}          rounded as 8 bits would be, in floats (quantization-aware training)
    {"float": w, "sums": {...}}              observed: the gradient to the sums is what they sum over all inputs

A gradient is summed over all that a weight meets: over rows, micro-batches, lanes of `vmap`, layers of a scan each its
own, devices. So are a calibration's statistics, which are given as one: no state, no hook, and any transformation.

Law: only what stands there changes x.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers._fake_quantize import fake_quantize
from jnn.precision import over_last_axes, wide

BINS = 2**14  # of a histogram: the first bits of a float32, 8 of its exponent and 6 of its fraction
BIN_BITS = 32 - 1 - 14  # those that a bin does not tell apart

Sums = dict[str, jax.Array]


def prepared(w: Any, x: jax.Array, in_axes: int) -> jax.Array:
    """x (..., *d_in), as a weight in parts is multiplied with it."""
    if "input_factors" in w:
        x = (wide(x) * over_last_axes(w["input_factors"], wide(x))).astype(x.dtype)
    if "sums" in w:
        x = _observed(x, w["sums"], in_axes)
    if "float" in w and "input_scale" in w:
        x = fake_quantize(x, w["input_scale"])
    return x


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _observed(x: jax.Array, sums: Sums, in_axes: int) -> jax.Array:
    return x


def _observed_forward(x: jax.Array, sums: Sums, in_axes: int) -> tuple[jax.Array, tuple[jax.Array, Sums]]:
    return x, (x, sums)


def _observed_backward(in_axes: int, kept: tuple[jax.Array, Sums], g: jax.Array) -> tuple[jax.Array, Sums]:
    x, sums = kept
    rows = wide(x).reshape(-1, math.prod(x.shape[x.ndim - in_axes :]))
    return g, {name: input_statistics[name](rows).astype(zero.dtype) for name, zero in sums.items()}


_observed.defvjp(_observed_forward, _observed_backward)


def _histogram(rows: jax.Array) -> jax.Array:
    """How many numbers there are whose magnitudes begin with the same bits, as float32."""
    bits = jax.lax.bitcast_convert_type(jnp.abs(rows).astype(jnp.float32), jnp.int32)
    return jnp.zeros(BINS).at[(bits >> BIN_BITS).ravel()].add(1.0)


# sums over rows (n, d)
input_statistics = {
    "rows": lambda rows: jnp.asarray(len(rows)),
    "magnitude": lambda rows: jnp.abs(rows).sum(0),
    "gram": lambda rows: jnp.matmul(rows.T, rows, precision="highest"),
    "histogram": _histogram,
}


def sums_shape(name: str, d: int) -> tuple[int, ...]:
    """The shape of a statistic of inputs of so many features."""
    return {"rows": (), "magnitude": (d,), "gram": (d, d), "histogram": (BINS,)}[name]


def bin_edges() -> jax.Array:
    """The least magnitude in each bin of a histogram, and of one more."""
    return jax.lax.bitcast_convert_type(jnp.arange(BINS + 1, dtype=jnp.int32) << BIN_BITS, jnp.float32)
