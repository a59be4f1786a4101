"""Primitives that act on each element, in terms of others, which a converter has.

rule(equation, *operands) -> outputs, or None where the primitive may stay
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax


def ordered(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Comparisons of the total order, which of integers is the usual one."""
    return lambda _, x, y: None if jnp.issubdtype(jnp.result_type(x, y), jnp.inexact) else compare(x, y)


def shifted_left(_: Any, x: Any, by: Any) -> Any:
    """`shift_left`: a product with a power of two, in 32 bits, whose last ones are those of fewer."""
    powers = jnp.asarray([1 << i if i < 31 else -(1 << 31) for i in range(32)], jnp.int32)
    return (x.astype(jnp.int32) * powers[jnp.asarray(by, jnp.int32)]).astype(x.dtype)


def shifted_right(_: Any, x: Any, by: Any) -> Any:
    """`shift_right_arithmetic`: a quotient by a power of two, rounded down."""
    wide, powers = x.astype(jnp.int32), jnp.asarray([1 << i for i in range(31)], jnp.int32)
    power = jnp.broadcast_to(powers[jnp.minimum(jnp.asarray(by, jnp.int32), 30)], wide.shape)
    quotient, rest = lax.div(wide, power), lax.rem(wide, power)
    return (quotient - (rest < 0)).astype(x.dtype)


def by_signed(eqn: Any, *given: Any) -> Any:
    """`add`, `sub` and `mul` of unsigned integers, whose bits are those of signed ones."""
    to = eqn.outvars[0].aval.dtype
    if not jnp.issubdtype(to, jnp.unsignedinteger):
        return None
    made = eqn.primitive.bind(*(lax.convert_element_type(x, jnp.int32) for x in given), **eqn.params)
    return lax.convert_element_type(made, to)


def unsigned_quotient(_: Any, x: Any, y: Any) -> Any:
    """`div` of unsigned integers: by signed ones, of half of x, of which the last bit is made up for."""
    if not jnp.issubdtype(jnp.result_type(x), jnp.unsignedinteger):
        return None
    signed = lambda a: lax.convert_element_type(a, jnp.int32)
    by = signed(y)
    quotient = 2 * lax.div(signed(lax.shift_right_logical(x, jnp.full_like(x, 1))), jnp.broadcast_to(by, jnp.shape(x)))
    rest = signed(x) - quotient * by
    return (quotient + (rest >= by)).astype(x.dtype)


def quotient(_: Any, x: Any, y: Any) -> Any:
    """`div` of signed integers, which is towards zero: of the negative, lest the half of a sum be taken for a mean."""
    return -lax.div(-x, y) if jnp.issubdtype(jnp.result_type(x), jnp.signedinteger) else None


def remainder(eqn: Any, x: Any, y: Any) -> Any:
    """`rem` of signed integers: what their quotient leaves."""
    found = quotient(eqn, x, y)
    return None if found is None else x - found * y
