"""What an equation of a jaxpr runs, and how often.

    bodies(equation) -> [jaxpr, ...]
    repeats(equation) -> n                           None for a while loop of unknown length

Whoever walks a program goes down into the bodies, and multiplies by the repeats.
"""

from __future__ import annotations

import math

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal


def bodies(equation: JaxprEqn) -> list[Jaxpr]:
    """The jaxprs that an equation runs: of a scan or a jit its body, of a while its condition too."""
    values = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: isinstance(v, Jaxpr | ClosedJaxpr))
    return [v.jaxpr if isinstance(v, ClosedJaxpr) else v for v in values if isinstance(v, Jaxpr | ClosedJaxpr)]


def repeats(equation: JaxprEqn) -> int | None:
    """How often an equation runs its bodies, on all devices together."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return int(params["length"])
    if name == "shard_map":
        return math.prod(params["mesh"].shape[axis] for axis in params["newly_manual_axes"])
    return _trips(equation) if name == "while" else 1


def _trips(equation: JaxprEqn) -> int | None:
    """The trip count of a while that counts up from a literal to a literal, by a literal."""
    params = equation.params
    test, body = params["cond_jaxpr"].jaxpr, params["body_jaxpr"].jaxpr
    if len(test.eqns) != 1 or test.eqns[0].primitive.name != "lt":
        return None
    counter, limit = test.eqns[0].invars
    if counter not in test.invars or not isinstance(limit, Literal):
        return None
    index = test.invars.index(counter) - params["cond_nconsts"]
    start = equation.invars[params["cond_nconsts"] + params["body_nconsts"] + index]
    steps = [e for e in body.eqns if e.primitive.name == "add" and e.outvars[0] is body.outvars[index]]
    if index < 0 or not isinstance(start, Literal) or not steps:
        return None
    before, by = steps[0].invars
    if before is not body.invars[params["body_nconsts"] + index] or not isinstance(by, Literal) or by.val <= 0:
        return None
    return max(0, -(-(int(limit.val) - int(start.val)) // int(by.val)))
