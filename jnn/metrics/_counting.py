"""Histograms of weights that go on counting where float32 stops.

2**24 + 1 is 2**24 in float32: ones that are added one by one never get beyond it. So rows are counted in pieces, and
their sums added up in two parts.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

ROWS = 2**10  # of a piece: fractions that are added one by one lose a digit in a thousand of them
UNIT = 2.0**12


def histogram(index: jax.Array, weight: jax.Array, bins: int) -> jax.Array:
    """The sum of the weights of each bin: rows of weight 1 are counted exactly, up to float32's last digit.

    Args:
      index: (...), int32 in 0..bins-1.
      weight: the same shape, float32 or float64.
      bins: how many there are.

    Returns:
      (bins,), in weight's dtype.

    >>> histogram(jnp.array([0, 2, 2]), jnp.ones(3), 4).tolist()
    [1.0, 0.0, 2.0, 0.0]
    """
    index, weight = index.ravel(), weight.ravel()
    pieces = -(-index.size // ROWS)
    # not more of them than the rows fill; but always so many that none has more rows than float32 can count
    pieces = max(min(pieces, index.size // bins), -(-index.size // 2**24), 1)
    if pieces > 1:
        index = index + bins * (jnp.arange(index.size, dtype=jnp.int32) % pieces)
    each = jnp.zeros(pieces * bins, weight.dtype).at[index].add(weight).reshape(pieces, bins)
    if pieces == 1:
        return each[0]
    units = jnp.floor(each / UNIT)
    return jnp.sum(units, 0) * UNIT + jnp.sum(each - units * UNIT, 0)
