"""An ONNX file as a spec, parameters and a function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn.interop._axes import declared
from jnn.interop._fitting import fitting
from jnn.interop._imported import Imported, check_params
from jnn.interop.onnx._read import read
from jnn.interop.onnx._run import OPERATORS, Operator, check, run
from jnn.interop.onnx._weights import weights
from jnn.param import Naming, Params, load


def from_onnx(
    model: str | Path | bytes | Any, *, axes: Naming | None = None, operators: Mapping[str, Operator] | None = None
) -> Imported:
    """ONNX model: `(spec, function, params)` of a file, in operator sets 11 to 21.

    `function(params, *inputs, **named)` computes the graph's outputs, a tuple of them where there are several, from its
    inputs in their order or by name; it is plain JAX, to be compiled, differentiated and trained. Parameters are the
    floating-point arrays of the file, by the file's names; single numbers, integers and the statistics of batch norm
    are constants. What the graph computes of shapes is known when it is traced, and so are the branches of If and the
    trips of Loop that depend on them. Integers that are given as arrays of NumPy are known, too.

    Args:
      model: a path, the file's bytes, or an `onnx.ModelProto`.
      axes: names of the parameters' axes in place of those that are guessed, as of `jnn.spec_of`.
      operators: more of them, or others in place of those that there are: name -> a function of its inputs and, by
        name, its attributes; "domain.Name" of another domain than ONNX's.

    Raises:
      ImportError: onnx, of the extra `onnx`, is not installed.
      ValueError: an operator, an attribute of one, or the operator set is not known; names of axes do not fit.
    """
    graph, version = read(model)
    table = OPERATORS | dict(operators or {})
    check(graph, version, table)
    arrays, templates = weights(graph)
    spec = declared(arrays, templates, said=axes)
    shapes = {f"[{name!r}]": shape for name, shape in graph.shapes.items()}

    def function(p: Params, *inputs: Any, **named: Any) -> Any:
        check_params("from_onnx", p)
        given = dict(zip(graph.inputs, inputs, strict=False)) | named
        if len(inputs) > len(graph.inputs) or given.keys() != set(graph.inputs):
            names = ", ".join(given) or "none"
            raise TypeError(f"from_onnx: the graph has the inputs {', '.join(graph.inputs)}; found {names}.")
        apply = lambda p, inputs: run(graph, {**p, **inputs}, version, table)
        found = fitting("from_onnx", apply, p, {name: _input(x) for name, x in given.items()}, shapes)
        return tuple(map(jnp.asarray, found)) if len(found) > 1 else jnp.asarray(found[0])

    return Imported(spec, function, load(spec, arrays), {}, {})


def _input(x: Any) -> Any:
    """Integers of NumPy stay known when the function is traced; all else is JAX's."""
    known = isinstance(x, np.ndarray | np.generic | int) and not np.issubdtype(np.asarray(x).dtype, np.inexact)
    return np.asarray(x) if known else jnp.asarray(x)
