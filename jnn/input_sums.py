"""Sums over what a weight meets, as gradients: for calibration.

    observed(x, sums, in_axes) -> x             the gradient to the sums is what they sum over rows of x
    INPUT_SUMS, sums_shape, bin_edges           which sums there are, of what shape; the bins of the histogram

A gradient is summed over all that a weight meets: over rows, micro-batches, lanes of `vmap`, layers of a scan each its
own, devices. So are a calibration's statistics, which are given as one: no state, no hook, and any transformation.

Law: x is what it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jnn.precision import wide

BINS = 2**14  # of a histogram: the first bits of a float32, 8 of its exponent and 6 of its fraction
BIN_BITS = 32 - 1 - 14  # those that a bin does not tell apart

Sums = dict[str, jax.Array]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def observed(x: jax.Array, sums: Sums, in_axes: int = 1) -> jax.Array:
    """Observed x (..., *d_in), which stays what it is; the gradient to zeros is sums of what they are named by.

    >>> zeros = {"rows": jnp.zeros(()), "magnitude": jnp.zeros(2)}
    >>> f = lambda sums: observed(jnp.array([[1.0, -2.0], [3.0, 0.0]]), sums).sum()
    >>> {name: sum.tolist() for name, sum in jax.grad(f)(zeros).items()}
    {'magnitude': [4.0, 2.0], 'rows': 2.0}
    """
    return x


def _forward(x: jax.Array, sums: Sums, in_axes: int) -> tuple[jax.Array, tuple[jax.Array, Sums]]:
    return x, (x, sums)


def _backward(in_axes: int, kept: tuple[jax.Array, Sums], g: jax.Array) -> tuple[jax.Array, Sums]:
    x, sums = kept
    rows = wide(x).reshape(-1, math.prod(x.shape[x.ndim - in_axes :]))
    return g, {name: INPUT_SUMS[name](rows).astype(zero.dtype) for name, zero in sums.items()}


observed.defvjp(_forward, _backward)


def _histogram(rows: jax.Array) -> jax.Array:
    bits = jax.lax.bitcast_convert_type(jnp.abs(rows).astype(jnp.float32), jnp.int32)
    return jnp.zeros(BINS, jnp.int32).at[(bits >> BIN_BITS).ravel()].add(1).astype(jnp.float32)


# of rows (n, d): how many, the magnitudes of each feature, the products of each two, and how many numbers there are
# whose magnitudes begin with the same bits
INPUT_SUMS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "rows": lambda rows: jnp.sum((rows[:, 0] == rows[:, 0]) | True),  # not a constant: `vmap` would not sum its lanes'
    "magnitude": lambda rows: jnp.abs(rows).sum(0),
    "gram": lambda rows: jnp.matmul(rows.T, rows, precision="highest"),
    "histogram": _histogram,
}


def sums_shape(name: str, d: int) -> tuple[int, ...]:
    """The shape of such a sum of inputs of so many features.

    >>> sums_shape("gram", 3)
    (3, 3)
    """
    return {"rows": (), "magnitude": (d,), "gram": (d, d), "histogram": (BINS,)}[name]


def bin_edges() -> jax.Array:
    """The least magnitude in each bin of a histogram, and of one more.

    >>> bin_edges()[127 * 64 : 127 * 64 + 2].tolist()
    [1.0, 1.015625]
    """
    return jax.lax.bitcast_convert_type(jnp.arange(BINS + 1, dtype=jnp.int32) << BIN_BITS, jnp.float32)
