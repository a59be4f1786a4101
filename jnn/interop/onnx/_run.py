"""A graph's computation: its nodes called one after another, by the table of operators."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jnn.interop._imported import takes
from jnn.interop.onnx import (
    _activations,
    _convolutions,
    _elementwise,
    _indexing,
    _normalizations,
    _pooling,
    _recurrent,
    _reductions,
    _resizing,
    _shapes,
)
from jnn.interop.onnx._arrays import Array, integers, known
from jnn.interop.onnx._read import Graph, Node

Operator = Callable[..., Any]
Run = Callable[..., list[Array]]  # of a graph, arrays for its inputs


def run(graph: Graph, values: Mapping[str, Array], version: int, operators: Mapping[str, Operator]) -> list[Array]:
    """A graph's outputs.

    Args:
      graph: to be called.
      values: by name, in place of the graph's constants, or from around it.
      version: of the operators.
      operators: by name.

    Raises:
      ValueError: an operator's own; it then names the node.
    """
    scope = {**graph.constants, **values, "": None}

    def inner(body: Graph, *arrays: Array) -> list[Array]:
        return run(body, {**scope, **dict(zip(body.inputs, arrays, strict=True))}, version, operators)

    for node in graph.nodes:
        operator = operators[node.operator]
        how = {"version": version, "run": inner, "outputs": len(node.outputs)}
        given = node.attributes | {name: x for name, x in how.items() if takes(operator, name)}
        try:
            results = operator(*(scope[name] for name in node.inputs), **given)
        except Exception as error:
            error.add_note(f"in {node.operator} of node {node.name!r}, operator set {version}")
            raise
        made = zip(node.outputs, results if isinstance(results, tuple | list) else [results], strict=False)
        scope |= {name: x for name, x in made if name}  # without one it is left out, as an input without one is
    return [scope[name] for name in graph.outputs]


def if_(condition: Array, *, then_branch: Graph, else_branch: Graph, run: Run) -> list[Array]:
    """The branch that is taken, which is known when the function is traced."""
    return run(then_branch if known("If", "the condition", condition).reshape(()) else else_branch)


def loop(trips: Array | None, condition: Array | None, *carried: Array, body: Graph, run: Run) -> list[Array]:
    """Unrolled: how often, and whether it goes on, is known when the function is traced. What is scanned is stacked."""
    most = None if trips is None else integers("Loop", "the number of trips", trips)[0]
    go_on = True if condition is None else bool(known("Loop", "the condition", condition).reshape(()))
    state, scanned, i = list(carried), [], 0
    while go_on and (most is None or i < most):
        again, *results = run(body, np.array(i, np.int64), np.array(True), *state)
        state, i = results[: len(carried)], i + 1
        scanned.append(results[len(carried) :])
        go_on = bool(known("Loop", "the condition", again).reshape(()))
    stacked = [
        _shapes.concat(*(_shapes.unsqueeze(x, [0]) for x in each), axis=0) for each in zip(*scanned, strict=True)
    ]
    return [*state, *stacked]


OPERATORS: dict[str, Operator] = {
    **_elementwise.OPERATORS,
    **_activations.OPERATORS,
    **_shapes.OPERATORS,
    **_indexing.OPERATORS,
    **_reductions.OPERATORS,
    **_normalizations.OPERATORS,
    **_convolutions.OPERATORS,
    **_pooling.OPERATORS,
    **_resizing.OPERATORS,
    **_recurrent.OPERATORS,
    "If": if_,
    "Loop": loop,
}


def check(graph: Graph, version: int, operators: Mapping[str, Operator]) -> None:
    """Raises ValueError, before anything is called, for an operator or an attribute that is not known."""
    for node in graph.walk():
        where = f"from_onnx: node {node.name!r}, operator set {version}"
        if node.operator not in operators:
            raise ValueError(
                f"{where}: there is no operator {node.operator!r}. Give one, a function of its inputs and, by name, "
                f'its attributes: from_onnx(..., operators={{"{node.operator}": function}}).'
            )
        if unknown := _unknown(node, operators[node.operator]):
            raise ValueError(f"{where}: {node.operator} has no attribute {unknown[0]!r} here.")


def _unknown(node: Node, operator: Operator) -> list[str]:
    """Attributes of a node that the function does not take."""
    taken = inspect.signature(operator).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in taken):
        return []
    return sorted(node.attributes.keys() - {each.name for each in taken if each.kind is not each.VAR_POSITIONAL})
