"""Operators of one element at a time, and of two that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, dtype_of, is_known, library, of_rank, together


def _unary(name: str) -> Callable[[Array], Array]:
    """The function of this name in NumPy and JAX."""
    return lambda x: getattr(library(x), name)(x)


def _binary(name: str) -> Callable[[Array, Array], Array]:
    def operator(a: Array, b: Array) -> Array:
        a, b = together(a, b)
        return getattr(library(a, b), name)(a, b)

    return operator


def _many(name: str) -> Callable[..., Array]:
    return lambda *xs: reduce(_binary(name), xs)


def mean(*xs: Array) -> Array:
    return _many("add")(*xs) / len(xs)


def div(a: Array, b: Array) -> Array:
    """Of integers, towards zero."""
    a, b = together(a, b)
    if not jnp.issubdtype(a.dtype, jnp.integer):
        return a / b
    return np.trunc(a / b).astype(a.dtype) if is_known(a, b) else jax.lax.div(*jnp.broadcast_arrays(a, b))


def mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    a, b = together(a, b)
    return (library(a, b).fmod if fmod else library(a, b).mod)(a, b)


def power(a: Array, b: Array) -> Array:
    """In the dtype of the base; a whole exponent that is known has a gradient everywhere."""
    dtype = a.dtype
    a, b = together(a, b)
    if is_known(b) and not is_known(a) and b.size == 1 and float(b.reshape(())) == int(b.reshape(())):
        return a ** int(b.reshape(()))
    return library(a, b).power(a, b).astype(dtype)


def bit_shift(a: Array, b: Array, *, direction: str) -> Array:
    a, b = together(a, b)
    return a << b if direction == "LEFT" else a >> b


def where(condition: Array, a: Array, b: Array) -> Array:
    a, b = together(a, b)
    condition, a, b = of_rank(max(condition.ndim, a.ndim), condition, a, b)
    return library(condition, a, b).where(condition, a, b)


def clip(x: Array, min: Array | None = None, max: Array | None = None) -> Array:
    for bound, which in ((min, "maximum"), (max, "minimum")):
        x = x if bound is None else _binary(which)(x, np.asarray(bound) if isinstance(bound, float) else bound)
    return x


def cast(x: Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> Array:
    dtype = dtype_of(to)
    return x.astype(dtype) if is_known(x) else x.astype(jax.dtypes.canonicalize_dtype(dtype))


def cast_like(x: Array, other: Array, *, saturate: int = 1) -> Array:
    return x.astype(other.dtype)


def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    return (jnp.isposinf(x) & bool(detect_positive)) | (jnp.isneginf(x) & bool(detect_negative))


def dropout(x: Array, ratio: Array | None = None, training_mode: Array | None = None, *, seed: int = 0) -> Array:
    """What it is where nothing is trained: x."""
    return x


def quantize_linear(
    x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, saturate: int = 1, block_size: int = 0
) -> Array:
    dtype = np.dtype(np.uint8) if zero is None else zero.dtype
    info = jnp.iinfo(dtype)
    scale = _along(scale, x, axis, block_size)
    zero = 0 if zero is None else _along(zero, x, axis, block_size).astype(np.int32)
    return jnp.clip(jnp.round(x / scale) + zero, info.min, info.max).astype(dtype)


def dequantize_linear(
    x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, block_size: int = 0
) -> Array:
    wide = x.astype(np.int32) - (0 if zero is None else _along(zero, x, axis, block_size).astype(np.int32))
    return wide.astype(scale.dtype) * _along(scale, x, axis, block_size)


def _along(scale: Array, x: Array, axis: int, block: int) -> Array:
    """One number for all, or one for each along an axis, or for each block along it."""
    if block:
        return library(scale).repeat(scale, block, axis)[tuple(map(slice, x.shape))]  # the last may be less than whole
    return scale.reshape([-1 if scale.ndim and i == axis % x.ndim else 1 for i in range(x.ndim)])


OPERATORS: dict[str, Callable[..., Any]] = {
    **{name: _unary(name.lower()) for name in ("Abs", "Exp", "Log", "Sqrt", "Floor", "Ceil", "Sign")},
    **{name: _unary(name.lower()) for name in ("Sin", "Cos", "Tan", "Sinh", "Cosh", "Tanh")},
    **{f"A{name}": _unary(f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: _binary(name.lower()) for name in ("Equal", "Less", "Greater")},
    **{f"Bitwise{name}": _binary(f"bitwise_{name.lower()}") for name in ("And", "Or", "Xor")},
    **{name: _binary(f"logical_{name.lower()}") for name in ("And", "Or", "Xor")},
    "Add": _binary("add"),
    "BitShift": bit_shift,
    "BitwiseNot": lambda x: ~x,
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": clip,
    "DequantizeLinear": dequantize_linear,
    "Div": div,
    "Dropout": dropout,
    "Erf": lambda x: jax.lax.erf(jnp.asarray(x)),
    "GreaterOrEqual": _binary("greater_equal"),
    "Identity": lambda x: x,
    "IsInf": is_inf,
    "IsNaN": _unary("isnan"),
    "LessOrEqual": _binary("less_equal"),
    "Max": _many("maximum"),
    "Mean": mean,
    "Min": _many("minimum"),
    "Mod": mod,
    "Mul": _binary("multiply"),
    "Neg": _unary("negative"),
    "Not": _unary("logical_not"),
    "Pow": power,
    "QuantizeLinear": quantize_linear,
    "Reciprocal": lambda x: 1 / x,
    "Round": _unary("round"),
    "Sub": _binary("subtract"),
    "Sum": _many("add"),
    "Where": where,
}
