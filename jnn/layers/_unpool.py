"""Max pooling that remembers where its maxima stood, and unpooling that puts them back. x is (..., *spatial, channels).

Laws: values are those of `max_pool`; `max_unpool` of them, pooled again, gives them back where windows do not overlap.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.layers._pool import pooling_window
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding


def max_pool_with_indices(
    x: jax.Array,
    window: Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> tuple[jax.Array, jax.Array]:
    """Max pooling with indices: the maximum under each window, and where it stands.

    See "Visualizing and Understanding Convolutional Networks", Zeiler and Fergus, 2014.

    Args:
      x: (..., *spatial, c), floating point.
      window, stride, padding: as in `max_pool`.

    Returns:
      (..., *out, c), in x's dtype; and as many int32: places in the flattened spatial axes, the first if they tie.

    Raises:
      As `max_pool`.

    >>> y, at = max_pool_with_indices(jnp.array([[3.0], [1.0], [2.0], [5.0]]), (2,))
    >>> y.squeeze(-1).tolist(), at.squeeze(-1).tolist()
    ([3.0, 5.0], [0, 3])
    """
    slide = pooling_window("max_pool_with_indices", window, stride, padding)
    flat, leading = one_batch_axis("max_pool_with_indices", x, len(slide.size))
    spatial = flat.shape[1:-1]
    places = np.arange(math.prod(spatial), dtype=np.int32).reshape(1, *spatial, 1)
    taps = slide.taps(slide.pad(flat, -jnp.inf), spatial)
    of_taps = slide.taps(slide.pad(jnp.asarray(places), -1), spatial)
    pairs = ((tap, jnp.broadcast_to(i, tap.shape)) for tap, i in zip(taps, of_taps, strict=True))
    y, at = functools.reduce(_greater, pairs)
    return y.reshape(*leading, *y.shape[1:]), at.reshape(*leading, *at.shape[1:])


def max_unpool(x: jax.Array, indices: jax.Array, spatial: Sequence[int]) -> jax.Array:
    """Max unpooling: puts each element where the maximum stood that it came from, among zeros.

    See "Visualizing and Understanding Convolutional Networks", Zeiler and Fergus, 2014. Where windows overlap and
    several elements have one place, one of them is put there.

    Args:
      x: (..., *pooled, c), floating point.
      indices: of x's shape, integers, as `max_pool_with_indices` returns.
      spatial: the shape to unpool to.

    Returns:
      (..., *spatial, c), in x's dtype.

    Raises:
      TypeError: x is not floating point, or indices are not integers.
      ValueError: shapes differ, x has too few axes or is empty, or indices are known to lie out of range.

    >>> max_unpool(jnp.array([[3.0], [5.0]]), jnp.array([[0], [3]]), (4,)).squeeze(-1).tolist()
    [3.0, 0.0, 0.0, 5.0]
    """
    checks.integers("max_unpool", indices, name="indices")
    checks.same_shape("max_unpool", x=x, indices=indices)
    flat, leading = one_batch_axis("max_unpool", x, len(spatial))
    n, c = math.prod(spatial), x.shape[-1]
    checks.in_range("max_unpool", indices, n, what="indices", of=f"places in {tuple(spatial)}")
    put = lambda values, at: jnp.zeros(n, values.dtype).at[at].set(values)
    columns = lambda a: a.reshape(flat.shape[0], -1, c)
    y = jax.vmap(jax.vmap(put, in_axes=-1, out_axes=-1))(columns(x), columns(indices))
    return y.reshape(*leading, *spatial, c)


def _greater(best: tuple[jax.Array, jax.Array], new: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Of two elements and their places the greater, and anything before padding, whose place is -1."""
    (y, at), (tap, place) = best, new
    better = (tap > y) | (at < 0) | jnp.isnan(tap)
    return jnp.where(better, tap, y), jnp.where(better, place, at)
