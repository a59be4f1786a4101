"""Products of 8-bit inputs and 8-bit weights, summed as integers.

    {"w8a8": int8 (*d_in, *d_out), "scales": (1, ..., *d_out)}      each row of x by its own greatest
    with "input_scale": ()                                          all by one that was calibrated

Laws: it is the product of `fake_quantize`d inputs with the dequantized weights, and so is its gradient.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers._fake_quantize import fake_quantize
from jnn.precision import over_last_axes, wide

MOST = 127
LONGEST = (2**31 - 1) // MOST**2  # of a sum that int32 holds, whatever its factors


def int8_product(w: dict[str, jax.Array], x: jax.Array, in_axes: int) -> jax.Array:
    """x (..., *d_in), rounded to 8 bits, times 8-bit weights: (..., *d_out), in x's dtype."""
    d_in, d_out = w["w8a8"].shape[:in_axes], w["w8a8"].shape[in_axes:]
    n, leading = math.prod(d_in), x.shape[: x.ndim - in_axes]
    if n > LONGEST:
        raise ValueError(f"linear: int32 holds sums of {LONGEST} products of 8 bits, found {n} inputs of w8a8 weights.")
    rows = wide(x).reshape(*leading, n)
    given = w["input_scale"].astype(rows.dtype) if "input_scale" in w else None
    y = _matmul(rows, w["w8a8"].reshape(n, -1), _steps(rows, given)).reshape(*leading, *d_out)
    return (y * over_last_axes(w["scales"].reshape(d_out), y)).astype(x.dtype)


def _steps(rows: jax.Array, given: jax.Array | None) -> jax.Array:
    """The scale of each row (..., 1); NaN where a row has one, which no integer is."""
    if given is None:
        greatest = jax.lax.stop_gradient(jnp.max(jnp.abs(rows), -1, keepdims=True))
        return jnp.maximum(greatest / MOST, jnp.finfo(rows.dtype).tiny)
    return jnp.where(jnp.isnan(rows).any(-1, keepdims=True), jnp.nan, given)


@jax.custom_jvp
def _matmul(rows: jax.Array, q: jax.Array, steps: jax.Array) -> jax.Array:
    """rows (..., n), as multiples of steps (..., 1), times q (n, m)."""
    whole = jnp.round(rows / steps).clip(-MOST, MOST).astype(jnp.int8)
    last = (((rows.ndim - 1,), (0,)), ((), ()))
    return jax.lax.dot_general(whole, q, last, preferred_element_type=jnp.int32).astype(rows.dtype) * steps


@_matmul.defjvp
def _matmul_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (rows, q, steps), (d_rows, _, d_steps) = primals, tangents
    _, moved = jax.jvp(partial(fake_quantize, bits=8), (rows, steps), (d_rows, d_steps))
    return _matmul(rows, q, steps), moved @ q.astype(rows.dtype)
