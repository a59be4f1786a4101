"""Fourier transforms of pairs as products with matrices: of n = a b numbers some of size a, then of size b."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn.export._pairs import Pair, times

SMALL = 64  # a transform up to this size is one product


def fourier(eqn: Any, x: Any) -> Any:
    """`fft`, along the last axes."""
    kind, lengths = eqn.params["fft_type"].name, eqn.params["fft_lengths"]
    sign, n, others = (1 if kind.startswith("I") else -1), lengths[-1], range(-len(lengths), -1)
    x = Pair(x, jnp.zeros_like(x)) if kind == "RFFT" else x
    if kind == "RFFT":
        x = Pair(*(part[..., : n // 2 + 1] for part in _transform(x, -1, sign)))
    for axis in others:
        x = _transform(x, axis, sign)
    if kind == "IRFFT":
        x = _whole(x, n)
    if kind != "RFFT":
        x = _transform(x, -1, sign)
    if sign == 1:
        x = Pair(*(part / math.prod(lengths) for part in x))
    return x.real if kind == "IRFFT" else x


def _whole(x: Pair, n: int) -> Pair:
    """The spectrum of size n of a real signal, whose second half is the first, turned round and conjugated."""
    rest = lambda part: jnp.flip(part[..., 1 : n - n // 2], -1)
    return Pair(
        jnp.concatenate([x.real, rest(x.real)], -1),
        jnp.concatenate([x.imag, -rest(x.imag)], -1),
    )


def _transform(x: Pair, axis: int, sign: int) -> Pair:
    """The sums of x with the roots of unity, along an axis."""
    rows = _of_rows(Pair(*(jnp.moveaxis(part, axis, -1) for part in x)), sign)
    return Pair(*(jnp.moveaxis(part, -1, axis) for part in rows))


def _of_rows(x: Pair, sign: int) -> Pair:
    """Along the last axis: of n = a b numbers transforms of a, then of b."""
    n, lead = x.real.shape[-1], x.real.shape[:-1]
    a = max(i for i in range(1, math.isqrt(n) + 1) if n % i == 0)
    if n <= SMALL or a == 1:
        return times(x, _roots(n, n, n, sign, x.real.dtype), jnp.matmul)
    blocks = Pair(*(part.reshape(*lead, a, n // a) for part in x))
    turns = Pair(*(part.reshape(*[1] * len(lead), a, n // a) for part in _roots(a, n // a, n, sign, x.real.dtype)))
    columns = times(_transform(blocks, -2, sign), turns)
    return Pair(*(jnp.swapaxes(part, -1, -2).reshape(*lead, n) for part in _of_rows(columns, sign)))


def _roots(rows: int, columns: int, n: int, sign: int, dtype: Any) -> Pair:
    """exp(2 pi i sign j k / n), of row j and column k."""
    angles = 2 * np.pi * sign / n * (np.outer(np.arange(rows), np.arange(columns)) % n)
    return Pair(np.cos(angles).astype(dtype), np.sin(angles).astype(dtype))
