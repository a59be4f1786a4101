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
    if _is_wide(x):
        return None
    powers = jnp.asarray([*(1 << i for i in range(31)), -(1 << 31), 0], jnp.int32)
    return (x.astype(jnp.int32) * powers[_distance(by)]).astype(x.dtype)


def shifted_right(_: Any, x: Any, by: Any) -> Any:
    """`shift_right_arithmetic`: a quotient by a power of two, rounded down."""
    if _is_wide(x) or not jnp.issubdtype(x.dtype, jnp.signedinteger):
        return None
    powers, by = jnp.asarray([1 << i for i in range(31)], jnp.int32), _distance(by)
    wide, by, power = jnp.broadcast_arrays(x.astype(jnp.int32), by, powers[jnp.minimum(by, 30)])
    found = lax.div(wide, power) - (lax.rem(wide, power) < 0)
    return jnp.where(by > 30, -(wide < 0).astype(jnp.int32), found).astype(x.dtype)


def _is_wide(x: Any) -> bool:
    """Whether it has more bits than the 32 that what is put in its place has."""
    return bool(jnp.result_type(x).itemsize > 4)


def _distance(by: Any) -> Any:
    """How far bits are shifted: 32 for all that is further, and for what is less than 0, as XLA reads it."""
    by = jnp.asarray(by, jnp.int32)
    return jnp.where((by < 0) | (by > 32), 32, by)


def by_signed(eqn: Any, *given: Any) -> Any:
    """`add`, `sub` and `mul` of unsigned integers, whose bits are those of signed ones."""
    to = eqn.outvars[0].aval.dtype
    if not jnp.issubdtype(to, jnp.unsignedinteger) or to.itemsize > 4:
        return None
    made = eqn.primitive.bind(*(lax.convert_element_type(x, jnp.int32) for x in given), **eqn.params)
    return lax.convert_element_type(made, to)


def unsigned_quotient(_: Any, x: Any, y: Any) -> Any:
    """`div` of unsigned integers: by signed ones, of half of x, of which the last bit is made up for."""
    if not jnp.issubdtype(jnp.result_type(x), jnp.unsignedinteger) or _is_wide(x):
        return None
    x, y = jnp.broadcast_arrays(x, y)
    signed = lambda a: lax.convert_element_type(a, jnp.int32)
    by, half = signed(y), signed(lax.shift_right_logical(x, jnp.full_like(x, 1)))
    twice = 2 * jnp.where(by < 0, 0, lax.div(half, by))  # of the greatest divisors, which are none of half of x
    rest, least = signed(x) - twice * by, jnp.int32(-(1 << 31))
    return (twice + (rest + least >= by + least)).astype(x.dtype)  # compared as if they had no sign


def quotient(_: Any, x: Any, y: Any) -> Any:
    """`div` of signed integers, towards zero: of the negative of x's negative, lest the half of a sum be a mean."""
    return lax.div(lax.neg(lax.neg(x)), y) if jnp.issubdtype(jnp.result_type(x), jnp.signedinteger) else None


def remainder(eqn: Any, x: Any, y: Any) -> Any:
    """`rem` of signed integers: what their quotient leaves."""
    found = quotient(eqn, x, y)
    return None if found is None else x - found * y
