"""Complex numbers as pairs of real ones, for formats that have none: rules of an equation and its operands.

    with_pairs(rules)        the rules, and for whatever is complex those of pairs

Loops and branches carry pairs as they carry any tree.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jnn.export._primitives import Rule, Rules
from jnn.export._terms_products import product

SMALL = 64  # a Fourier transform up to this size is one product with a matrix


class Pair(NamedTuple):
    """The real and the imaginary part of an array."""

    real: Any
    imag: Any


def with_pairs(rules: Rules) -> Rules:
    """Rules, and where an equation has complex numbers those of pairs."""
    pairs = PAIRS | {name: _of_parts(rules.get(name, _same)) for name in LINEAR}
    pairs = {name: _either(own, rules.get(name)) for name, own in pairs.items()}
    return {**rules, **pairs, "constant": lambda _, x: _pair(x)}


def _either(own: Rule, other: Rule | None) -> Rule:
    def rule(eqn: Any, *given: Any) -> Any:
        if any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars)):
            return own(eqn, *given)
        return other(eqn, *given) if other else None

    return rule


def _pair(x: Any) -> Any:
    """An array as a pair if it is complex; all else as it is."""
    if isinstance(x, Pair) or not jnp.iscomplexobj(x):
        return x
    return Pair(np.real(x), np.imag(x))


def _of_parts(rule: Rule) -> Rule:
    """What is done to the real parts, and to the imaginary ones."""
    part = lambda i, given: [x[i] if isinstance(x, Pair) else x for x in given]

    def one(eqn: Any, *given: Any) -> Any:
        found = rule(eqn, *given)
        return _same(eqn, *given) if found is None else found

    def both(eqn: Any, *given: Any) -> Any:
        real, imag = (one(eqn, *part(i, given)) for i in (0, 1))
        return [*map(Pair, real, imag)] if eqn.primitive.multiple_results else Pair(real, imag)

    return both


def _same(eqn: Any, *given: Any) -> Any:
    return eqn.primitive.bind(*given, **eqn.params)


def _product(x: Pair, y: Pair, by: Callable[[Any, Any], Any] = operator.mul) -> Pair:
    return Pair(by(x.real, y.real) - by(x.imag, y.imag), by(x.real, y.imag) + by(x.imag, y.real))


def _quotient(x: Pair, y: Pair) -> Pair:
    size = _size(y)
    a, b = y.real / size, y.imag / size
    top, below = _product(x, Pair(a, -b)), a**2 + b**2
    return Pair(top.real / below / size, top.imag / below / size)


def _size(x: Pair) -> Any:
    """The greater part, by which others are divided lest their squares leave the range of numbers; 1 for 0 and inf."""
    found = jnp.maximum(jnp.abs(x.real), jnp.abs(x.imag))
    return jnp.where((found > 0) & (found < jnp.inf), found, jnp.ones_like(found))


def _absolute(_: Any, x: Pair) -> Any:
    size = _size(x)
    return size * jnp.sqrt((x.real / size) ** 2 + (x.imag / size) ** 2)


def _power(eqn: Any, x: Pair) -> Pair:
    """A whole power by squares."""
    n = eqn.params.get("y", 2)
    found = Pair(jnp.ones_like(x.real), jnp.zeros_like(x.imag))
    for digit in f"{abs(n):b}":
        found = _product(found, found)
        found = _product(found, x) if digit == "1" else found
    return found if n >= 0 else _quotient(Pair(jnp.ones_like(x.real), jnp.zeros_like(x.imag)), found)


def _exponential(_: Any, x: Pair) -> Pair:
    return Pair(jnp.exp(x.real) * jnp.cos(x.imag), jnp.exp(x.real) * jnp.sin(x.imag))


def _exponential_less_one(_: Any, x: Pair) -> Pair:
    real = jnp.expm1(x.real) * jnp.cos(x.imag) - 2 * jnp.sin(x.imag / 2) ** 2
    return Pair(real, jnp.exp(x.real) * jnp.sin(x.imag))


def _dot(eqn: Any, x: Pair, y: Pair) -> Pair:
    return _product(x, y, lambda x, y: product(x, y, eqn.params["dimension_numbers"]))


def _converted(eqn: Any, x: Any) -> Any:
    to = jnp.dtype(eqn.params["new_dtype"])
    part = np.finfo(to).dtype if to.kind == "c" else to
    if isinstance(x, Pair):
        real, imag = (lax.convert_element_type(x, part) for x in x)
        return Pair(real, imag) if to.kind == "c" else real
    real = lax.convert_element_type(x, part)
    return Pair(real, jnp.zeros_like(real))


def _fourier(eqn: Any, x: Any) -> Any:
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
        return _product(x, _roots(n, n, n, sign, x.real.dtype), jnp.matmul)
    blocks = Pair(*(part.reshape(*lead, a, n // a) for part in x))
    turns = Pair(*(part.reshape(*[1] * len(lead), a, n // a) for part in _roots(a, n // a, n, sign, x.real.dtype)))
    columns = _product(_transform(blocks, -2, sign), turns)
    return Pair(*(jnp.swapaxes(part, -1, -2).reshape(*lead, n) for part in _of_rows(columns, sign)))


def _roots(rows: int, columns: int, n: int, sign: int, dtype: Any) -> Pair:
    """exp(2 pi i sign j k / n), of row j and column k."""
    angles = 2 * np.pi * sign / n * (np.outer(np.arange(rows), np.arange(columns)) % n)
    return Pair(np.cos(angles).astype(dtype), np.sin(angles).astype(dtype))


LINEAR = {  # done to both parts alike
    *("reshape", "transpose", "broadcast_in_dim", "slice", "squeeze", "expand_dims", "concatenate", "rev", "select_n"),
    *("gather", "dynamic_slice", "dynamic_update_slice", "scatter", "scatter-add", "split", "stack", "unstack", "pad"),
    *("add", "add_any", "sub", "neg", "reduce_sum", "cumsum"),
}
PAIRS: dict[str, Rule] = {
    "complex": lambda _, real, imag: Pair(real, imag),
    "real": lambda _, x: x.real,
    "imag": lambda _, x: x.imag,
    "eq": lambda _, x, y: (x.real == y.real) & (x.imag == y.imag),
    "ne": lambda _, x, y: (x.real != y.real) | (x.imag != y.imag),
    "conj": lambda _, x: Pair(x.real, -x.imag),
    "abs": _absolute,
    "mul": lambda _, x, y: _product(x, y),
    "div": lambda _, x, y: _quotient(x, y),
    "square": _power,
    "integer_pow": _power,
    "exp": _exponential,
    "expm1": _exponential_less_one,
    "dot_general": _dot,
    "convert_element_type": _converted,
    "fft": _fourier,
}
