"""Arithmetic of complex numbers as pairs of real ones; what is of one equation is a rule, as in `_primitives`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp


class Pair(NamedTuple):
    """The real and the imaginary part of an array."""

    real: Any
    imag: Any


def times(x: Pair, y: Pair, by: Callable[[Any, Any], Any] = operator.mul) -> Pair:
    """A product; `by` is that of real numbers, or of matrices."""
    return Pair(by(x.real, y.real) - by(x.imag, y.imag), by(x.real, y.imag) + by(x.imag, y.real))


def quotient(x: Pair, y: Pair) -> Pair:
    """A quotient, by what is divided by its own size."""
    size = _size(y)
    a, b = y.real / size, y.imag / size
    top, below = times(x, Pair(a, -b)), a**2 + b**2
    return Pair(top.real / below / size, top.imag / below / size)


def _size(x: Pair) -> Any:
    """The greater part, by which others are divided lest their squares leave the range of numbers; 1 for 0 and inf."""
    found = jnp.maximum(jnp.abs(x.real), jnp.abs(x.imag))
    return jnp.where((found > 0) & (found < jnp.inf), found, jnp.ones_like(found))


def absolute(_: Any, x: Pair) -> Any:
    """`abs`: of a pair that is divided by its size."""
    size = _size(x)
    return size * jnp.sqrt((x.real / size) ** 2 + (x.imag / size) ** 2)


def power(eqn: Any, x: Pair) -> Pair:
    """A whole power by squares."""
    n = eqn.params.get("y", 2)
    found = Pair(jnp.ones_like(x.real), jnp.zeros_like(x.imag))
    for digit in f"{abs(n):b}":
        found = times(found, found)
        found = times(found, x) if digit == "1" else found
    return found if n >= 0 else quotient(Pair(jnp.ones_like(x.real), jnp.zeros_like(x.imag)), found)


def exponential(_: Any, x: Pair) -> Pair:
    """`exp`, by its size and its angle."""
    return Pair(jnp.exp(x.real) * jnp.cos(x.imag), jnp.exp(x.real) * jnp.sin(x.imag))


def exponential_less_one(_: Any, x: Pair) -> Pair:
    """`expm1`, near 0, too."""
    real = jnp.expm1(x.real) * jnp.cos(x.imag) - 2 * jnp.sin(x.imag / 2) ** 2
    return Pair(real, jnp.exp(x.real) * jnp.sin(x.imag))
