"""Power-average and fractional max pooling, channels last: x is (..., *spatial, channels)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._pool import pooling_window
from jnn.layers._spatial import one_batch_axis
from jnn.layers._window import Padding, sliding
from jnn.param import check_key
from jnn.precision import wide, wide_dtype
from jnn.vectors import scale_of


def lp_pool(
    x: jax.Array,
    window: Sequence[int],
    norm: float = 2.0,
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> jax.Array:
    """LP pooling, or power-average pooling: `sum(abs(x) ** norm) ** (1 / norm)` under a window that slides.

    See "Learned-Norm Pooling for Deep Feedforward and Recurrent Neural Networks", Gulcehre et al., 2014. With norm 1 it
    is a sum, and towards infinity the maximum, of absolute values.

    Args:
      x: (..., *spatial, c), floating point.
      window, stride, padding: as in `max_pool`; padding is zeros.
      norm: the power, >= 1; it may be traced, such as a parameter.

    Returns:
      (..., *out, c), in x's dtype. The gradient of a window of zeros is zero.

    Raises:
      TypeError: x is not floating point.
      ValueError: norm < 1; otherwise as `max_pool`.

    >>> lp_pool(jnp.array([[3.0], [-4.0]]), (2,)).tolist()
    [[5.0]]
    """
    norm = checks.number("lp_pool", "norm", norm, lambda n: n >= 1, ">= 1", like=x)
    slide = pooling_window("lp_pool", window, stride, padding)
    flat, leading = one_batch_axis("lp_pool", x, len(slide.size))
    taps = [jnp.abs(tap) for tap in slide.taps(slide.pad(wide(flat)), flat.shape[1:-1])]
    there, scale = scale_of(functools.reduce(jnp.maximum, taps))
    total = functools.reduce(jnp.add, [(tap / scale) ** norm for tap in taps])
    y = scale * jnp.where(there, jnp.where(there, total, 1.0) ** (1 / norm), 0.0)
    return y.reshape(*leading, *y.shape[1:]).astype(x.dtype)


def fractional_max_pool(
    x: jax.Array, size: Sequence[int], window: Sequence[int], *, key: jax.Array | None
) -> jax.Array:
    """Fractional max pooling: maxima under windows whose distances are random, so that any output size is reached.

    See "Fractional Max-Pooling", Graham, 2014, pseudo-random and overlapping: a number u in [0, 1) for each example and
    axis puts window i at `floor((i + u) a) - floor(u a)`, where `a = (n - window) / (size - 1)`; the last, at the end.

    Args:
      x: (..., *spatial, c), floating point.
      size: of the output along each spatial axis, 1 to 3 of them.
      window: its size along each; `window + size - 1` is at most the input's.
      key: a PRNG key, from which u is drawn, uniform, of shape (examples, spatial axes); None: 1/2. It has no default.

    Returns:
      (..., *size, c), in x's dtype.

    Raises:
      TypeError: x is not floating point, or key is no PRNG key.
      ValueError: too few axes, no elements, or windows that do not fit.

    >>> fractional_max_pool(jnp.arange(5.0).reshape(5, 1), (3,), (2,), key=None).squeeze(-1).tolist()
    [1.0, 3.0, 4.0]
    """
    sizes, reach = sliding("fractional_max_pool", size).size, sliding("fractional_max_pool", window).size
    check_key("fractional_max_pool", key, optional=True)
    y, leading = one_batch_axis("fractional_max_pool", x, len(sizes))
    axes = list(zip(y.shape[1:-1], sizes, reach, strict=True))
    if any(out + k - 1 > n for n, out, k in axes):
        raise ValueError(f"fractional_max_pool: {sizes} windows {reach} do not fit into {y.shape[1:-1]}.")
    shape = (y.shape[0], len(sizes))
    dtype = wide_dtype(x)
    u = jnp.full(shape, 0.5, dtype) if key is None else jax.random.uniform(key, shape, dtype)
    for axis, (n, out, k) in enumerate(axes, start=1):
        starts = _starts(u[:, axis - 1 : axis], n, out, k)
        columns = [_at(y, starts + offset, axis) for offset in range(k)]
        y = functools.reduce(jnp.maximum, columns)
    return y.reshape(*leading, *y.shape[1:])


def _starts(u: jax.Array, n: int, out: int, k: int) -> jax.Array:
    """(b, 1) -> (b, out): where each window begins."""
    if out == 1:
        return jnp.full(u.shape, n - k, jnp.int32)
    a = (n - k) / (out - 1)
    i = jnp.arange(out - 1, dtype=u.dtype).reshape(1, -1)
    inner = jnp.floor((i + u) * a) - jnp.floor(u * a)
    return jnp.concatenate([inner.astype(jnp.int32), jnp.full(u.shape, n - k, jnp.int32)], 1)


def _at(y: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    """y (b, ..., c) at each example's own places (b, out) of an axis."""
    index = index.reshape(index.shape[0], *(-1 if i == axis else 1 for i in range(1, y.ndim)))
    return jnp.take_along_axis(y, index, axis=axis)
