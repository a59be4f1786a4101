"""Which numbers a dtype can hold: what is asked before somebody else's arrays are cast."""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp
import numpy as np

CHUNK = 2**20  # elements looked at at once: what is compared takes a few copies of them


class Kind(enum.IntEnum):
    """Kinds of dtypes; each holds the ones before it."""

    BOOL = 0
    INTEGER = 1
    FLOATING = 2
    COMPLEX = 3


def dtype_kind(dtype: jax.typing.DTypeLike) -> Kind:
    """The kind of a dtype.

    >>> dtype_kind(jnp.bfloat16) > dtype_kind(jnp.int32)
    True
    """
    dtype = jnp.dtype(dtype)
    kinds = zip((jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating), Kind, strict=True)
    found = [k for super_, k in kinds if jnp.issubdtype(dtype, super_)]
    if not found:
        raise TypeError(f"Param: expected a dtype of numbers, found {dtype}.")
    return found[0]


def within_x64(dtype: jax.typing.DTypeLike) -> np.dtype:
    """The dtype, which JAX would otherwise shorten in silence.

    Raises:
      ValueError: it has 64 bits, and JAX is not set to them.
    """
    dtype = jnp.dtype(dtype)
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(
            f"Param: found {dtype}, while JAX is set to 32 bits. Set jax.config.update('jax_enable_x64', True) first."
        )
    return dtype


def cast(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x in another dtype, or as it is."""
    return (_plain(x) if dtype_kind(x.dtype) < Kind.FLOATING and x.dtype != dtype else x).astype(dtype, copy=False)


def first_lost(x: np.ndarray, dtype: np.dtype) -> tuple[int, ...] | None:
    """The index of the first number that cannot be cast to the dtype; None if all can.

    Integers must come back as they are. What is floating may be rounded, also to zero; it may not become infinite, or
    cease to be so or to be NaN.

    >>> first_lost(np.array([1.0, 70000.0]), np.dtype(np.float16))
    (1,)
    """
    flat = x.reshape(-1)
    for start in range(0, 0 if x.dtype == dtype else flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        with np.errstate(all="ignore"):
            held = _held(part, cast(part, dtype))
        if not held.all():
            return tuple(map(int, np.unravel_index(start + int(held.argmin()), x.shape)))
    return None


def _held(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where y, cast from x, still says what x did."""
    if dtype_kind(y.dtype) == Kind.COMPLEX:
        return _held(x.real, y.real) & _held(x.imag, y.imag)
    if dtype_kind(x.dtype) == Kind.FLOATING:
        return _rounded(x, y)
    x = _plain(x)
    if dtype_kind(y.dtype) < Kind.FLOATING:
        return x == _plain(y)
    back, least, most = y.astype(np.float64), int(np.iinfo(x.dtype).min), int(np.iinfo(x.dtype).max)
    inside = (back >= float(least)) & (back < float(most + 1))
    return inside & (np.where(inside, back, 0).astype(x.dtype) == x)


def _rounded(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    limits = jnp.finfo(y.dtype)
    wide = np.float64 if max(x.dtype.itemsize, y.dtype.itemsize) == 8 else np.float32
    x, y = x.astype(wide), y.astype(wide)
    step = wide(limits.eps) * np.abs(x) + wide(limits.smallest_subnormal)
    return (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= step)


def _plain(x: np.ndarray) -> np.ndarray:
    """Integers of NumPy's own dtypes: those of 2 and 4 bits, and bools, are none."""
    if x.dtype.kind in "iu":
        return x
    return x.astype(np.int8 if x.dtype.kind != "b" and jnp.iinfo(x.dtype).min < 0 else np.uint8)
