"""Bad numbers followed through a program: calls, branches and loops.

    call(program, args, scope) -> values

`INSIDE` is the table of primitives that are entered. Each of them is evaluated as its definition says: a `scan`
iteration by iteration, a `cond` through the branch that is taken. What has no row is one equation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal, primitives

from jnn.inspect._bodies import loop_parts
from jnn.inspect.nonfinite._causes import Given, Scope, Value, apply
from jnn.inspect.nonfinite._finding import finite


def call(program: Any, args: Sequence[Value], scope: Scope) -> list[Value]:
    """Evaluates a jaxpr, open or closed; what no later equation reads is dropped."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    env = dict(zip(jaxpr.constvars, map(_constant, constants), strict=True))
    env |= zip(jaxpr.invars, args, strict=True)
    results = _names(jaxpr.outvars)
    last = {name: n for n, eqn in enumerate(jaxpr.eqns) for name in _names(eqn.invars)}
    for n, eqn in enumerate(jaxpr.eqns):
        evaluate = INSIDE.get(eqn.primitive, apply)
        out = evaluate(eqn, [_read(env, atom) for atom in eqn.invars], scope)
        env |= zip(eqn.outvars, out, strict=True)
        for name in _names(eqn.invars) - results:
            if last[name] == n:
                del env[name]
    return [_read(env, atom) for atom in jaxpr.outvars]


def _read(env: dict[Any, Value], atom: Any) -> Value:
    return _constant(np.asarray(atom.val, atom.aval.dtype)) if _is_literal(atom) else env[atom]


def _is_literal(atom: Any) -> bool:
    return isinstance(atom, Literal)


def _names(atoms: Sequence[Any]) -> set[Any]:
    return {atom for atom in atoms if not _is_literal(atom)}


def _constant(x: Any) -> Value:
    return Value(x, () if finite(x) else (Given(None),))


def _part(name: str) -> Callable[[Any, Sequence[Value], Scope], list[Value]]:
    """The rule of a primitive that calls the program that is its parameter `name`."""

    def evaluate(eqn: Any, inputs: Sequence[Value], scope: Scope) -> list[Value]:
        program = eqn.params[name]
        return call(program, inputs, scope.inside(eqn, program))

    return evaluate


def _cond(eqn: Any, inputs: Sequence[Value], scope: Scope) -> list[Value]:
    """One branch, by an index that is clamped as XLA does."""
    branches = eqn.params["branches"]
    taken = int(np.clip(int(inputs[0].array), 0, len(branches) - 1))
    inside = scope.inside(eqn, branches[taken]).turn(f"branch {taken} of {len(branches)}")
    return call(branches[taken], inputs[1:], inside)


def _while(eqn: Any, inputs: Sequence[Value], scope: Scope) -> list[Value]:
    """Iterations for as long as the condition holds."""
    condition, body = eqn.params["cond_jaxpr"], eqn.params["body_jaxpr"]
    asked, kept, carry = loop_parts(eqn, inputs)
    asking, within = scope.inside(eqn, condition), scope.inside(eqn, body)
    turns = itertools.count()
    while call(condition, [*asked, *carry], asking)[0].array:
        carry = call(body, [*kept, *carry], within.turn(f"while iteration {next(turns)}"))
    return carry


def _scan(eqn: Any, inputs: Sequence[Value], scope: Scope) -> list[Value]:
    """Iterations over the leading axis; in the order of time, which `reverse` turns round."""
    length, body = eqn.params["length"], eqn.params["jaxpr"]
    if length == 0:
        return apply(eqn, inputs, scope)
    kept, carry, rows = loop_parts(eqn, inputs)
    within = scope.inside(eqn, body)
    made: list[list[Value]] = [[]] * length
    for i in reversed(range(length)) if eqn.params["reverse"] else range(length):
        row = [_row(value, i) for value in rows]
        out = call(body, [*kept, *carry, *row], within.turn(f"scan iteration {i} of {length}"))
        carry, made[i] = out[: len(carry)], out[len(carry) :]
    return [*carry, *(_stack(column) for column in zip(*made, strict=True))]


def _row(value: Value, i: int) -> Value:
    row = value.array[i]
    return Value(row, () if finite(row) else value.causes)


def _stack(column: Sequence[Value]) -> Value:
    causes = dict.fromkeys(cause for value in column for cause in value.causes)
    return Value(jnp.stack([value.array for value in column]), tuple(causes))


INSIDE = {
    primitives.call_p: _part("call_jaxpr"),
    primitives.closed_call_p: _part("call_jaxpr"),
    primitives.cond_p: _cond,
    primitives.custom_jvp_call_p: _part("call_jaxpr"),
    primitives.custom_vjp_call_p: _part("call_jaxpr"),
    primitives.jit_p: _part("jaxpr"),
    primitives.remat_p: _part("jaxpr"),
    primitives.scan_p: _scan,
    primitives.while_p: _while,
}
