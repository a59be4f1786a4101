"""Quantized weights: integers of 8 or 4 bits with scales, in place of a linear map's "w" or an embedding's "table".

    quantize_weight(w) -> {"int8": (in, out), "scales": (1, out)}
    quantize_weight(w, bits=4, group=32) -> {"int4": (in, out / 2), "scales": (in / 32, out)}      two in a byte
    dequantize_weight(q) -> w

Laws: a scale is for a block of weights, whose sizes are those of the weights over those of the scales; no weight is
further than half its scale from what it was; x has a gradient, the integers have none (JAX's float0), the scales do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import backend, checks
from jnn.precision import over_last_axes, wide, wide_dtype

BLOCK, ROWS = 64, 1024  # rows of a weight, and of a table, that are floats at one time
SMALL, LARGE = 2**16, 2**21  # integers that are floats all at once, for one row and for more

QuantizedWeight = dict[str, jax.Array]
Weight = Any  # an array, or a quantized weight


def quantize_weight(
    w: jax.Array, *, axis: int | Sequence[int] = 0, bits: int = 8, group: int | None = None
) -> QuantizedWeight:
    """Weight quantization, symmetric: the nearest multiples of a scale, by which the greatest is 127, or of 4 bits 7.

    See "LLM.int8()", Dettmers et al., 2022; of groups "GPTQ", Frantar et al., 2022.

    Args:
      w: floating point, finite: a linear map's weight (*d_in, *d_out), or a table (vocab, d).
      axis: what is summed over, so that a scale may be shared along it: the axes of d_in; of a table 1.
      bits: 8, or 4: neighbours in the last axis are two in a byte.
      group: how many along the last of these axes share a scale, at most; all along all of them by default.

    Returns:
      {"int8": int8, as w, or "int4": int8, with half the last axis; "scales": as many axes as w, in w's dtype}

    Raises:
      ValueError: bits are neither 8 nor 4, a group does not divide the axis, or two do not divide the last.

    >>> q = quantize_weight(jnp.array([[1.0, -254.0], [-127.0, 0.0]]))
    >>> q["int8"].tolist(), q["scales"].tolist()
    ([[1, -127], [-127, 0]], [[1.0, 2.0]])
    """
    return integer_weight(w, weight_scales(w, axis=axis, bits=bits, group=group), bits)


def weight_scales(w: jax.Array, *, axis: int | Sequence[int] = 0, bits: int = 8, group: int | None = None) -> jax.Array:
    """Scales of `quantize_weight`: those by which the greatest of each block is 127, or of 4 bits 7.

    Args, Raises: as `quantize_weight`.

    Returns:
      As many axes as w, in w's dtype.

    >>> weight_scales(jnp.array([[1.0, -254.0], [-127.0, 0.0]])).tolist()
    [[1.0, 2.0]]
    """
    checks.floats("quantize_weight", w)
    blocks = block_sizes("quantize_weight", w.shape, axis, bits, group)
    return _scale(reduce_blocks(jnp.max, jnp.abs(wide(w)), blocks), 2 ** (bits - 1) - 1, w.dtype)


def integer_weight(w: jax.Array, scales: jax.Array, bits: int = 8) -> QuantizedWeight:
    """Integer weight: the nearest multiples of given scales, as `quantize_weight` keeps them.

    Args:
      w: floating point.
      scales: as many axes as w, positive: one for a block of w each.
      bits: 8 or 4.

    Returns:
      As `quantize_weight`; what is beyond the greatest multiple is that.

    Raises:
      ValueError: bits are neither 8 nor 4, two do not divide the last axis, or the scales' axes not w's.

    >>> integer_weight(jnp.array([[1.0], [-9.0]]), jnp.array([[0.5]]))["int8"].tolist()
    [[2], [-18]]
    """
    checks.floats("integer_weight", w)
    _check_bits("integer_weight", w.shape, bits)
    blocks_of("integer_weight", w.shape, scales.shape)
    most = 2 ** (bits - 1) - 1
    q = over_blocks(lambda w, scale: jnp.round(w / scale).clip(-most, most).astype(jnp.int8), wide(w), wide(scales))
    return {"int8": q, "scales": scales} if bits == 8 else {"int4": _pack(q), "scales": scales}


def _scale(greatest: jax.Array, most: int, dtype: Any) -> jax.Array:
    """Scale, of which `most` make the greatest: where so small a number is coarse or none in a dtype, the next up."""
    info = jnp.finfo(dtype)
    least = info.smallest_subnormal if info.bits == 16 and info.nmant > 7 else info.tiny  # wider ones are flushed to 0
    scale = jnp.maximum(jnp.where(greatest == 0, 1, greatest) / most, least).astype(dtype)
    return jnp.where(wide(scale) * (most + 0.5) < greatest, jnp.nextafter(scale, jnp.full_like(scale, jnp.inf)), scale)


def block_sizes(
    where: str, shape: Sequence[int], axis: int | Sequence[int], bits: int, group: int | None
) -> tuple[int, ...]:
    """For each axis of a weight, how many share a scale; raises unless they divide it."""
    _check_bits(where, shape, bits)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if not axes or not all(-len(shape) <= i < len(shape) for i in axes):
        raise ValueError(f"{where}: expected axes of a weight {tuple(shape)} that are summed over, found {axis}.")
    axes = tuple(i % len(shape) for i in axes)
    if group is None:
        return tuple(size if i in axes else 1 for i, size in enumerate(shape))
    checks.count(where, "group", group)
    own = min(group, shape[axes[-1]])
    if shape[axes[-1]] % own:
        raise ValueError(f"{where}: groups of {group} do not divide the {shape[axes[-1]]} inputs of {tuple(shape)}.")
    return tuple(own if i == axes[-1] else 1 for i in range(len(shape)))


def reduce_blocks(reduce: Callable[..., jax.Array], x: jax.Array, blocks: Sequence[int]) -> jax.Array:
    """Reduction of blocks: `reduce(x, axes)` of what shares a scale.

    Args:
      reduce: such as `jnp.max`.
      x: any array.
      blocks: how long they are along each axis, as of `block_sizes`.

    Returns:
      As many axes as x.

    >>> reduce_blocks(jnp.sum, jnp.arange(8).reshape(4, 2), (2, 1)).tolist()
    [[2, 4], [10, 12]]
    """
    cut, inner = _cut(x.shape, blocks)
    return reduce(x.reshape(cut), inner)


def _check_bits(where: str, shape: Sequence[int], bits: int) -> None:
    if bits not in (8, 4):
        raise ValueError(f"{where}: expected 8 or 4 bits, found {bits!r}.")
    if bits == 4 and shape[-1] % 2:
        raise ValueError(f"{where}: 4 bits go two in a byte along the last axis, found {tuple(shape)}. Take bits=8.")


def blocks_of(where: str, shape: Sequence[int], scales: Sequence[int]) -> tuple[int, ...]:
    """For each axis, how many share a scale, of which there are so many; raises unless they divide it."""
    if len(shape) != len(scales) or any(n % max(m, 1) or not m for n, m in zip(shape, scales, strict=True)):
        raise ValueError(
            f"{where}: expected scales of as many axes as {tuple(shape)}, that divide them, found {tuple(scales)}."
        )
    return tuple(n // m for n, m in zip(shape, scales, strict=True))


def over_blocks(f: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, scale: jax.Array) -> jax.Array:
    """f(x, scale) of each element of x and the scale of its block, or the one of all."""
    if not scale.ndim:
        return f(x, scale)
    cut, inner = _cut(x.shape, [n // m for n, m in zip(x.shape, scale.shape, strict=True)])
    return f(x.reshape(cut), jnp.expand_dims(scale, inner)).reshape(x.shape)


def dequantize_weight(w: Weight, dtype: DTypeLike | None = None) -> jax.Array:
    """Dequantized weight: integers times their scales; a product of `factor_weight` multiplied out; an array as it is.

    Args:
      w: from `quantize_weight` or `factor_weight`, or an array.
      dtype: of the result; that of the scales by default.

    >>> dequantize_weight({"int8": jnp.array([[1, -127]], jnp.int8), "scales": jnp.array([[0.5, 2.0]])}).tolist()
    [[0.5, -254.0]]
    """
    if checks.is_quantized(w):
        if "float" in w:
            return dequantize_weight(w["float"], dtype)
        values = over_blocks(lambda q, scale: q.astype(scale.dtype) * scale, integers(w), wide(w["scales"]))
        if "input_factors" in w:
            factors = wide(w["input_factors"])
            values = values * factors.reshape(*factors.shape, *(1,) * (values.ndim - factors.ndim))
        return values.astype(w["scales"].dtype if dtype is None else dtype)
    if checks.is_factored(w):
        product = jnp.tensordot(wide(w["down"]), wide(w["up"]), 1)
        return product.astype(w["down"].dtype if dtype is None else dtype)
    return w if dtype is None else w.astype(dtype)


def integers(w: QuantizedWeight) -> jax.Array:
    """The integers of a quantized weight, one in a byte."""
    if "int4" not in w:
        return w["int8"] if "int8" in w else w["w8a8"]
    *leading, half = w["int4"].shape
    return jnp.stack(_unpack(w["int4"]), -1).reshape(*leading, 2 * half)


def weight_shape(w: Any) -> tuple[int, ...]:
    """The shape of a weight, quantized, factored or neither."""
    if checks.is_factored(w):
        return (*w["down"].shape[:-1], *w["up"].shape[1:])
    if not checks.is_quantized(w):
        return tuple(w.shape)
    shape = tuple(next(w[name] for name in checks.KEPT if name in w).shape)
    return (*shape[:-1], 2 * shape[-1]) if "int4" in w else shape


def weight_dtype(w: Any) -> Any:
    """The dtype of a weight's values."""
    if checks.is_factored(w):
        return w["down"].dtype
    return (w["float"] if "float" in w else w["scales"]).dtype if checks.is_quantized(w) else w.dtype


def quantized_product(w: QuantizedWeight, x: jax.Array, in_axes: int) -> jax.Array:
    """x (..., *d_in) times a quantized weight: (..., *d_out), in x's dtype."""
    shape = weight_shape(w)
    d_in, d_out, leading = shape[:in_axes], shape[in_axes:], x.shape[: x.ndim - in_axes]
    per_output = math.prod(w["scales"].shape[:in_axes]) == 1 and w["scales"].shape[in_axes:] == d_out
    if not per_output:
        return jnp.tensordot(x, dequantize_weight(w, x.dtype), in_axes)
    x = x.reshape(*leading, math.prod(d_in))
    parts = [w["int8"]] if "int8" in w else _unpack(w["int4"])
    sums = [_sums(x, q.reshape(math.prod(d_in), -1)) for q in parts]
    y = sums[0] if len(sums) == 1 else jnp.stack(sums, -1)  # neighbours in the last axis, as they were packed
    y = y.reshape(*leading, *d_out)
    return (y * over_last_axes(w["scales"].reshape(d_out), y)).astype(x.dtype)


def quantized_read_out(w: QuantizedWeight, x: jax.Array) -> jax.Array:
    """x (..., d) times the rows of a quantized table (vocab, d): (..., vocab), in x's dtype."""
    vocab, d = weight_shape(w)
    if w["scales"].shape != (vocab, 1):
        return x @ dequantize_weight(w, x.dtype).T
    kept, exact = "int8" if "int8" in w else "int4", wide_dtype(x)
    of = lambda rows: _times(x, integers({kept: rows}), 1, exact)
    if _at_once(x, vocab * d) or _one_row(x):  # one row times a matrix: XLA:CPU reads the integers
        y = of(w[kept])
    else:
        ahead = vocab - vocab % ROWS
        blocks = jnp.moveaxis(jax.lax.map(of, w[kept][:ahead].reshape(-1, ROWS, w[kept].shape[1])), 0, -2)
        y = jnp.concatenate([blocks.reshape(*x.shape[:-1], ahead), of(w[kept][ahead:])], -1)
    return (y * over_last_axes(w["scales"][:, 0], y)).astype(x.dtype)


def _sums(x: jax.Array, q: jax.Array) -> jax.Array:
    """x (..., n) times integers (n, m), in float32 at least: in float16 a sum of integers is soon out of range."""
    n, exact = len(q), wide_dtype(x)
    if _at_once(x, q.size):
        return _times(x, q, 0, exact)
    ahead = n - n % BLOCK
    xs = jnp.moveaxis(x[..., :ahead].reshape(*x.shape[:-1], -1, BLOCK), -2, 0)
    add = lambda total, block: (total + _times(block[0], block[1], 0, exact), None)
    rest = _times(x[..., ahead:], q[ahead:], 0, exact)
    return jax.lax.scan(add, rest, (xs, q[:ahead].reshape(-1, BLOCK, q.shape[1])))[0]


def _at_once(x: jax.Array, size: int) -> bool:
    """Whether so many integers become floats all at once: where there are few, or the backend makes none."""
    few = size <= (SMALL if _one_row(x) else LARGE)
    return few or backend.choose("int_weights") == "whole"


def _one_row(x: jax.Array) -> bool:
    """Whether there is but one; of how many there are where that is symbolic, it is not said."""
    return all(isinstance(n, int) and n == 1 for n in x.shape[:-1])


def _times(x: jax.Array, q: jax.Array, axis: int, exact: DTypeLike) -> jax.Array:
    """x (..., n) times integers along this axis of n."""
    last = (((x.ndim - 1,), (axis,)), ((), ()))
    return jax.lax.dot_general(x, q.astype(x.dtype), last, preferred_element_type=exact)


def _pack(q: jax.Array) -> jax.Array:
    low, high = q[..., ::2], q[..., 1::2]
    return (low & 15) | (high << 4)


def _unpack(q: jax.Array) -> list[jax.Array]:
    """Of two integers in a byte, all the first and all the second."""
    return [(q << 4) >> 4, q >> 4]


def _cut(shape: Sequence[int], blocks: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape with each axis cut in blocks, and which axes are then those within blocks."""
    cut = tuple(size for n, block in zip(shape, blocks, strict=True) for size in (n // block, block))
    return cut, tuple(range(1, len(cut), 2))
