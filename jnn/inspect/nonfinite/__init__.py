"""Which equation made the first bad number: a program evaluated one primitive after another.

    first_bad(f, *args) -> Finding | None
    examine(f, *args) -> (f(*args), Finding | None)
    intermediates(f, *args) -> [array, ...]         whatever was computed on the way

A *bad* number is NaN, inf or -inf. The program is traced to a jaxpr and evaluated equation by equation, into calls,
branches and every iteration of loops. Each value carries the *causes* of its bad numbers, and at the end the way goes
back from the bad results to the equations that nothing else caused. So an infinity that is meant, such as a mask of
-inf, is never blamed if it does not reach a result.

Laws: no result is bad -> None. Equations that made their own bad numbers are blamed before those that were given bad
arguments, these before those that use a constant of the program, and then the first in order of evaluation. An
argument that is returned as it came is nobody's fault.

It costs one dispatch and one look from the host per equation and iteration, and the memory of a program in which
nothing is fused. `shard_map`, Pallas kernels and custom linear solves count as one equation each.

What lives here: `finding` is what is told, `causes` follows bad numbers through one equation, `interpreter` through
a program. What does not: what to do about it.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.inspect._source import Line
from jnn.inspect.nonfinite._causes import Cause, Event, Given, Scope, Value
from jnn.inspect.nonfinite._finding import Finding, Summary, finite
from jnn.inspect.nonfinite._interpreter import call

__all__ = [
    "Finding",
    "Line",
    "Summary",
    "examine",
    "first_bad",
    "intermediates",
]


def first_bad(f: Callable[..., Any], *args: Any) -> Finding | None:
    """First bad number: the equation that made it, of those that reach `f(*args)`; None if that is finite.

    Args:
      f: anything that JAX can trace: a loss, its gradient, a train step.
      *args: pytrees of arrays.

    Returns:
      The finding: the primitive, its line of source, the loops around it, its inputs and outputs.

    >>> found = first_bad(lambda x: jnp.sum(jnp.log(x) * x), jnp.array([1.0, 0.0]))
    >>> found.primitive, found.outputs[0].first, found.given
    ('log', (1,), ())
    >>> first_bad(lambda x: jnp.where(x > 0, jnp.log(x), 0.0), jnp.array([1.0, 0.0])) is None
    True
    """
    return examine(f, *args)[1]


def examine(f: Callable[..., Any], *args: Any) -> tuple[Any, Finding | None]:
    """`f(*args)`, evaluated one primitive after another, and what `first_bad` says of it."""
    shapes, out = _evaluate(f, args, Scope(itertools.count()))
    result = jax.tree.unflatten(jax.tree.structure(shapes), [value.array for value in out])
    return result, _first(cause for value in out for cause in value.causes)


def intermediates(f: Callable[..., Any], *args: Any) -> list[jax.Array]:
    """Every value that `f(*args)` computes on its way, in order, in each iteration of its loops.

    >>> [float(x) for x in intermediates(lambda x: jnp.exp(x + 1) * 2, jnp.float32(-1.0))]
    [0.0, 1.0, 2.0]
    """
    seen: list[jax.Array] = []
    _evaluate(f, args, Scope(itertools.count(), seen=seen))
    return seen


def _evaluate(f: Callable[..., Any], args: tuple[Any, ...], scope: Scope) -> tuple[Any, list[Value]]:
    """The shapes of the result, and its leaves."""
    program, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
    values = [_argument(path, jnp.asarray(leaf)) for path, leaf in _named_leaves(f, args)]
    return shapes, call(program, values, scope)


def _argument(path: str, array: jax.Array) -> Value:
    return Value(array, () if finite(array) else (Given(path),))


def _named_leaves(f: Callable[..., Any], args: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """The arrays of the arguments with paths such as `batch/x`, in the order in which JAX flattens them."""
    named = inspect.signature(f).bind(*args).arguments.items()
    leaves = [
        ((jax.tree_util.GetAttrKey(name), *path), leaf)
        for name, tree in named
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def _first(causes: Iterable[Cause]) -> Finding | None:
    """The finding of the first event among those that all others come from."""
    seen: set[Cause] = set()
    waiting = list(causes)
    while waiting:
        if (cause := waiting.pop()) not in seen:
            seen.add(cause)
            waiting += cause.causes if isinstance(cause, Event) else ()
    found = [(event.rank, event.finding) for event in seen if isinstance(event, Event) and event.finding is not None]
    return min(found, key=lambda pair: pair[0])[1] if found else None
