"""A traced function as a flat program: calls inlined, what nothing reads left out, bodies beside their equations.

    traced(f, p, shapes) -> Program

A `Value` is one variable of the program; the same jaxpr, called twice, has two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jnn.inspect import Place, loop_parts, place_of

# primitives that only call a jaxpr, the parameter that holds it ...
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
# ... and those that hand their operands on
IDENTITIES = {"copy", "copy_p", "name", "optimization_barrier", "pvary", "sharding_constraint"}


@dataclasses.dataclass(eq=False)
class Value:
    """A variable: its shape, whose axes may be symbolic, its dtype; of a literal the number."""

    shape: tuple[Any, ...]
    dtype: Any  # of NumPy, or of keys
    number: Any = None

    @property
    def is_number(self) -> bool:
        return self.number is not None


@dataclasses.dataclass(eq=False)
class Body:
    """What a function, or one turn of a loop, computes."""

    inputs: list[Value]
    equations: list[Equation]
    outputs: list[Value]


@dataclasses.dataclass(eq=False)
class Equation:
    """An equation of a jaxpr, of which `bodies` are the jaxprs that a loop or a branch runs.

    `called` is the place of the innermost call around it that somebody's own line makes: JAX's functions have none.
    """

    name: str
    inputs: list[Value]
    outputs: list[Value]
    params: dict[str, Any]
    place: Place
    bodies: list[Body]
    called: Place


@dataclasses.dataclass(eq=False)
class Program:
    """A traced function: its body, parameters by path, constants, and the tree of its outputs."""

    body: Body
    params: dict[str, Value]
    constants: dict[Value, np.ndarray]
    tree: Any
    live: set[Value]


def traced(f: Callable[..., Any], params: dict[str, Any], inputs: Sequence[jax.ShapeDtypeStruct]) -> Program:
    """The program of `f(params by path, *inputs)`."""
    abstract = {path: jax.ShapeDtypeStruct(x.shape, x.dtype) for path, x in params.items()}
    closed, out = jax.make_jaxpr(f, return_shape=True)(abstract, *inputs)
    flattener = _Flattener()
    values = [_value(v.aval) for v in closed.jaxpr.invars]
    order = sorted(params)  # as JAX has the leaves of a dict
    body = flattener.body(closed, values)
    program = Program(
        Body(values[len(order) :], body.equations, body.outputs),
        dict(zip(order, values, strict=False)),
        flattener.constants,
        jax.tree.structure(out),
        set(),
    )
    program.live = _keep_live(program.body)
    return program


class _Flattener:
    """Inlines calls; its constants are those of all bodies."""

    def __init__(self) -> None:
        self.constants: dict[Value, np.ndarray] = {}
        self._known: dict[int, tuple[Any, Value]] = {}  # the array is held, so that its id stays its own
        self._called = Place()

    def body(self, program: Jaxpr | ClosedJaxpr, inputs: list[Value]) -> Body:
        equations: list[Equation] = []
        outputs = self._call(program, inputs, equations)
        return Body(inputs, equations, outputs)

    def _call(self, program: Any, inputs: Sequence[Value], equations: list[Equation]) -> list[Value]:
        jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
        env = dict(zip(jaxpr.constvars, map(self._constant, constants), strict=True))
        env |= zip(jaxpr.invars, inputs, strict=True)
        read = lambda atom: self._literal(atom) if isinstance(atom, Literal) else env[atom]
        called = self._called
        for eqn in jaxpr.eqns:
            place = place_of(eqn)
            self._called = place if place.frames else called
            env |= zip(eqn.outvars, self._outputs(eqn, [*map(read, eqn.invars)], equations), strict=True)
        self._called = called
        return [*map(read, jaxpr.outvars)]

    def _outputs(self, eqn: JaxprEqn, given: list[Value], equations: list[Equation]) -> list[Value]:
        name = eqn.primitive.name
        if name in CALLS:
            return self._call(eqn.params[CALLS[name]], given, equations)
        if name in IDENTITIES:
            return given
        outputs, called = [_value(v.aval) for v in eqn.outvars], self._called
        bodies = [self.body(program, values) for program, values in _bodies(eqn, given)]
        equations.append(Equation(name, given, outputs, dict(eqn.params), place_of(eqn), bodies, called))
        return outputs

    def _constant(self, x: Any) -> Value:
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended):
            return Value(tuple(x.shape), x.dtype)  # a key, of which nothing can be made
        if np.ndim(x) == 0:
            return Value((), np.dtype(x.dtype), np.asarray(x).item())
        if id(x) not in self._known:
            value = Value(tuple(x.shape), np.dtype(x.dtype))
            self._known[id(x)] = x, value
            self.constants[value] = np.asarray(x)
        return self._known[id(x)][1]

    def _literal(self, atom: Literal) -> Value:
        return self._constant(np.asarray(atom.val, getattr(atom.aval, "dtype", None)))


def _value(aval: Any) -> Value:
    return Value(tuple(aval.shape), aval.dtype)


def _bodies(eqn: JaxprEqn, given: list[Value]) -> Iterable[tuple[Any, list[Value]]]:
    """The jaxprs that a loop or a branch runs, and what they are given: values from without, or fresh ones a turn."""
    params, fresh = eqn.params, lambda program, n: [_value(v.aval) for v in program.jaxpr.invars[n:]]
    if eqn.primitive.name == "scan":
        kept, _, _ = loop_parts(eqn, given)
        yield params["jaxpr"], [*kept, *fresh(params["jaxpr"], len(kept))]
    elif eqn.primitive.name == "while":
        asked, kept, _ = loop_parts(eqn, given)
        carry = fresh(params["cond_jaxpr"], len(asked))
        yield params["cond_jaxpr"], [*asked, *carry]
        yield params["body_jaxpr"], [*kept, *carry]
    elif eqn.primitive.name == "cond":
        yield from ((branch, given[1:]) for branch in params["branches"])


def _keep_live(body: Body) -> set[Value]:
    """Leaves out what no output hangs on; returns what is read."""
    live = set(body.outputs)
    kept: list[Equation] = []
    for equation in reversed(body.equations):
        if not live.isdisjoint(equation.outputs):
            kept.append(equation)
            live.update(equation.inputs, *map(_keep_live, equation.bodies))
    body.equations = kept[::-1]
    return live
