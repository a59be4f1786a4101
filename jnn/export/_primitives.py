"""A traced function again, primitive by primitive: calls are inlined, and some primitives are put in others' terms.

    evaluated(program, rules, *inputs) -> outputs      rules[primitive](equation, *operands) -> outputs, or None

For converters of programs that lack a primitive, or a use of it, which a formulation of primitives that they have can
stand for. `rules["constant"]`, of no equation and an array, says what stands for what a program is given or has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from jnn.export._program import CALLS, IDENTITIES
from jnn.inspect import loop_parts

Rule = Callable[..., Any]  # of an equation and its operands: an output, a list of them, or None to leave it as it is
Rules = Mapping[str, Rule]


def evaluated(program: Any, rules: Rules, *inputs: Any) -> list[Any]:
    """The outputs of a jaxpr, of whose primitives some are put as rules say, within loops and branches, too."""
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    known = partial(rules["constant"], None) if "constant" in rules else lambda x: x
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], map(known, [*constants, *inputs]), strict=True))
    read = lambda atom: known(atom.val) if isinstance(atom, Literal) else env[atom]
    for eqn in jaxpr.eqns:
        env |= zip(eqn.outvars, _outputs(eqn, [*map(read, eqn.invars)], rules), strict=True)
    return [*map(read, jaxpr.outvars)]


def _outputs(eqn: Any, given: Sequence[Any], rules: Rules) -> list[Any]:
    name = eqn.primitive.name
    if name in IDENTITIES:
        return [*given]
    found = rules[name](eqn, *given) if name in rules else None
    if found is None and name in CALLS:
        return evaluated(eqn.params[CALLS[name]], rules, *given)
    if found is None and name in BODIES:
        return BODIES[name](eqn, given, rules)
    if found is None:
        found = eqn.primitive.bind(*given, **eqn.params)
    return [*found] if eqn.primitive.multiple_results else [found]


def _scan(eqn: Any, given: Sequence[Any], rules: Rules) -> list[Any]:
    """A scan, of rows turned round where it goes from the last to the first."""
    params, (kept, carry, rows) = eqn.params, loop_parts(eqn, given)
    turned = lambda rows: jax.tree.map(lambda x: x[::-1], [*rows]) if params["reverse"] else [*rows]

    def step(carry: Sequence[Any], row: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        made = evaluated(params["jaxpr"], rules, *kept, *carry, *row)
        return made[: len(carry)], made[len(carry) :]

    last, made = jax.lax.scan(step, [*carry], turned(rows), length=params["length"])
    return [*last, *turned(made)]


def unrolled(eqn: Any, given: Sequence[Any], rules: Rules) -> list[Any]:
    """The outputs of a scan, turn after turn, without a loop."""
    params, (kept, carry, rows) = eqn.params, loop_parts(eqn, given)
    turns = range(params["length"])
    made: dict[int, list[Any]] = {}
    for i in reversed(turns) if params["reverse"] else turns:
        row = jax.tree.map(lambda x, i=i: x[i], rows)  # of each part of a pair
        found = evaluated(params["jaxpr"], rules, *kept, *carry, *row)
        carry, made[i] = found[: len(carry)], found[len(carry) :]
    return [*carry, *jax.tree.map(lambda *column: jnp.stack(column), *(made[i] for i in turns))]


def _while(eqn: Any, given: Sequence[Any], rules: Rules) -> list[Any]:
    params, (asked, kept, begin) = eqn.params, loop_parts(eqn, given)
    test = lambda carry: evaluated(params["cond_jaxpr"], rules, *asked, *carry)[0]
    step = lambda carry: evaluated(params["body_jaxpr"], rules, *kept, *carry)
    if not params["cond_jaxpr"].out_avals[0].shape:
        return [*jax.lax.while_loop(test, step, begin)]
    some = lambda carry: jnp.any(test(carry))  # of a batch, and those alone make a step
    those = lambda carry: jax.tree.map(partial(_where, test(carry)), step(carry), carry)
    return [*jax.lax.while_loop(some, those, begin)]


def _where(going: Any, new: Any, old: Any) -> Any:
    return jax.lax.select(jax.lax.broadcast_in_dim(going, new.shape, range(going.ndim)), new, old)


def _cond(eqn: Any, given: Sequence[Any], rules: Rules) -> list[Any]:
    branches = [lambda *x, branch=branch: evaluated(branch, rules, *x) for branch in eqn.params["branches"]]
    return [*jax.lax.switch(given[0], branches, *given[1:])]


def first(*rules: Rule) -> Rule:
    """The first of some rules that has something to say."""
    return lambda eqn, *given: next((found for rule in rules if (found := rule(eqn, *given)) is not None), None)


BODIES = {"scan": _scan, "while": _while, "cond": _cond}
