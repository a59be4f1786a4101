"""What an equation of a jaxpr runs, and how often.

    bodies(equation) -> [jaxpr, ...]
    repeats(equation) -> n                           None for a while loop of unknown length
    loop_parts(equation, operands) -> parts          what a loop is given, by what it is for

Whoever walks a program goes down into the bodies, and multiplies by the repeats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jnn.inspect._trips import MIRRORED, TESTS, trips


def bodies(equation: JaxprEqn) -> list[Jaxpr]:
    """The jaxprs that an equation runs: of a scan or a jit its body, of a while its condition too."""
    params = equation.params
    if equation.primitive.name == "custom_linear_solve":  # the others are for its derivatives, and as a check
        return [params["jaxprs"].solve.jaxpr]
    if equation.primitive.name == "cond" and isinstance(equation.invars[0], Literal):  # known which, say of a constant
        return [params["branches"][int(equation.invars[0].val)].jaxpr]
    values = jax.tree.leaves(list(params.values()), is_leaf=lambda v: isinstance(v, Jaxpr | ClosedJaxpr))
    return [v.jaxpr if isinstance(v, ClosedJaxpr) else v for v in values if isinstance(v, Jaxpr | ClosedJaxpr)]


def repeats(equation: JaxprEqn) -> int | None:
    """How often an equation runs its bodies, on all devices together."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return int(params["length"])
    if name == "shard_map":
        return math.prod(size for _, size in shard_axes(params))
    return _trips(equation) if name == "while" else 1


def shard_axes(params: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """The mesh axes of a `shard_map` and their sizes; JAX 0.10.1 has another word for those that are new to it."""
    axes = params["newly_manual_axes"] if "newly_manual_axes" in params else params["manual_axes"]
    return tuple((axis, params["mesh"].shape[axis]) for axis in axes)


def scan_sizes(params: dict[str, Any]) -> tuple[int, int]:
    """Sizes of a scan: how many inputs are constants, and how many are carried: JAX 0.12 says it by a tree."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()
    return len(constants), len(carry)


def loop_parts(equation: JaxprEqn, operands: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Operands of a loop: of a scan its constants, what it carries, and rows; of a while two kinds of constants first.

    Args:
      equation: a scan, or a while, whose constants are those of the test and those of the body.
      operands: as many as it has.

    >>> jaxpr = jax.make_jaxpr(lambda x: jax.lax.scan(lambda total, row: (total + row, None), 0.0, x)[0])(np.ones(3))
    >>> loop_parts(jaxpr.eqns[0], ["total", "rows"])
    ([], ['total'], ['rows'])
    """
    params = equation.params
    is_scan = equation.primitive.name == "scan"
    sizes = scan_sizes(params) if is_scan else (params["cond_nconsts"], params["body_nconsts"])
    first, second = itertools.accumulate(sizes)
    return list(operands[:first]), list(operands[first:second]), list(operands[second:])


def _trips(equation: JaxprEqn) -> int | None:
    """The trip count of a while that counts from a literal to a literal, by a literal."""
    params = equation.params
    test = params["cond_jaxpr"].jaxpr
    if len(test.eqns) != 1 or test.eqns[0].primitive.name not in TESTS:
        return None
    name, (counter, limit) = test.eqns[0].primitive.name, test.eqns[0].invars
    if isinstance(counter, Literal):
        name, counter, limit = MIRRORED[name], limit, counter
    index = test.invars.index(counter) - params["cond_nconsts"] if counter in test.invars else -1
    if index < 0 or not isinstance(limit, Literal):
        return None
    start = equation.invars[params["cond_nconsts"] + params["body_nconsts"] + index]
    if not isinstance(start, Literal):
        return None
    return trips(_number(start), _number(limit), _step(equation, index), name, _dtype(start))


def _step(equation: JaxprEqn, index: int) -> Any:
    """By how much the body of a while changes its carry of that index, where that is a literal."""
    body = equation.params["body_jaxpr"].jaxpr
    before = body.invars[equation.params["body_nconsts"] + index]
    for made in body.eqns:
        name = made.primitive.name
        if made.outvars[0] is body.outvars[index] and name in ("add", "sub"):
            a, b = made.invars
            if a is before and isinstance(b, Literal):
                return _number(b) if name == "add" else -_number(b)
            if b is before and isinstance(a, Literal) and name == "add":
                return _number(a)
    return None


def _number(literal: Literal) -> Any:
    return np.asarray(literal.val, _dtype(literal)).item()


def _dtype(literal: Literal) -> np.dtype:
    return cast(jax.core.ShapedArray, literal.aval).dtype
