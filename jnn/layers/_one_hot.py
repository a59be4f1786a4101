"""One-hot vectors of integers, and hashing of integers into as many buckets as a table has rows.

Laws: `one_hot(i, n) @ table` is `embed` of i; what lies out of range is said by `out_of_range`, and nothing is clamped
or wrapped in silence; a hash depends on the integer and the seed alone, not on its dtype, device or JAX version.
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks

OutOfRange = Literal["raise", "zeros", "clip"]


def one_hot(
    x: jax.Array, classes: int, *, out_of_range: OutOfRange = "raise", dtype: DTypeLike = jnp.float32
) -> jax.Array:
    """One-hot encoding: a vector of zeros with 1 at place x.

    Args:
      x: (...), integers.
      classes: how many places there are.
      out_of_range: what becomes of integers outside 0..classes-1: "raise" an error where they are known, and under
        `jit` NaN; "zeros", no place at all; "clip", the first or last place.
      dtype: of the vectors, floating point.

    Returns:
      (..., classes)

    Raises:
      TypeError: x is not integers.
      ValueError: x is empty, or known to lie out of range where that is to raise; no such choice.

    >>> one_hot(jnp.array([1, 7]), 3, out_of_range="zeros").tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    x = checks.integers("one_hot", x)
    if out_of_range not in get_args(OutOfRange):
        raise ValueError(f"one_hot: out_of_range is one of {', '.join(get_args(OutOfRange))}; found {out_of_range!r}.")
    if out_of_range == "clip":
        x = jnp.clip(x, 0, classes - 1)
    hot = jax.nn.one_hot(x, classes, dtype=dtype)
    if out_of_range == "raise":
        checks.in_range("one_hot", x, classes)
        hot = jnp.where(((x >= 0) & (x < classes))[..., None], hot, jnp.asarray(jnp.nan, dtype))
    return hot


def hash_buckets(x: jax.Array, buckets: int, *, seed: int = 0) -> jax.Array:
    """Hashing trick: a bucket for each integer, by a multiply-shift hash; two integers rarely share one.

    See "Feature Hashing for Large Scale Multitask Learning", Weinberger et al., 2009, and "A Reliable Randomized
    Algorithm for the Closest-Pair Problem", Dietzfelbinger et al., 1997: the high bits of `a x + b`, here modulo
    2 ** 32, times the number of buckets.

    Args:
      x: (...), integers, negative ones too.
      buckets: how many there are, in 1..2**31 - 1.
      seed: which hash function; with several, two integers hardly ever share all their buckets.

    Returns:
      (...), int32 in 0..buckets-1.

    Raises:
      TypeError: x is not integers.
      ValueError: x is empty, or no such number of buckets.

    >>> hashed = hash_buckets(jnp.array([0, 1, -2, 10**9, 1]), 100)
    >>> bool((hashed < 100).all()), bool(hashed[1] == hashed[4])
    (True, True)
    """
    checks.integers("hash_buckets", x)
    if not 1 <= buckets < 2**31:
        raise ValueError(f"hash_buckets: expected buckets in 1..2**31 - 1, found {buckets}.")
    low, high, b = np.random.SeedSequence(seed).generate_state(3, np.uint32)
    x = x if x.dtype.itemsize >= 4 else x.astype(np.int32)
    # halves of 64 bits, which NumPy's integers may have; of 32 the upper one is the sign
    lower, upper = (jnp.asarray(half.astype(np.uint32)) for half in (x, x >> 16 >> 16))
    return _scaled(lower * (low | 1) + upper * (high | 1) + b, np.uint32(buckets)).astype(np.int32)


def _scaled(h: jax.Array, n: np.uint32) -> jax.Array:
    """`h * n // 2 ** 32` of 32-bit numbers, by products that fit into 32 bits."""
    h1, h0, n1, n0 = h >> 16, h & 0xFFFF, n >> 16, n & 0xFFFF
    middle = h1 * n0 + (h0 * n0 >> 16)
    return h1 * n1 + (middle >> 16) + (h0 * n1 + (middle & 0xFFFF) >> 16)
