"""`check`: a function against a module of torch, in values, gradients and bfloat16."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.inspect import format_table
from jnn.inspect.nonfinite import intermediates
from jnn.interop.torch import Names, load_state_dict
from jnn.param import Params, Spec, flatten
from jnn.parity._reference import Reference, direction, run


@dataclasses.dataclass(frozen=True)
class Parity:
    """Differences of two implementations, each relative to the largest number of the other one's.

    Attributes:
      output: of the outputs in float32.
      gradients: path -> that of a projected output's gradient in float32; of inputs "input 0", "input 1", ...
      bfloat16: of the outputs in bfloat16 from the other's in float32.
      others: and the other's own in bfloat16 from these.
      params: the other's weights, as the spec declares them.
    """

    output: float
    gradients: dict[str, float]
    bfloat16: float
    others: float
    params: Params

    def __str__(self) -> str:
        rows = [("output", self.output), *((f"gradient of {name}", x) for name, x in self.gradients.items())]
        rows += [("output in bfloat16", self.bfloat16), ("the other's in bfloat16", self.others)]
        return format_table(["", "largest difference"], [[name, f"{x:.1e}"] for name, x in rows])


def check(
    function: Callable[..., jax.Array],
    spec: Spec,
    module: Any,
    example: Any,
    *,
    names: Names | None = None,
    ignore: Collection[str] = (),
    call: Callable[..., Any] | None = None,
    tolerance: float = 1e-5,
    bfloat16: float = 2e-2,
) -> Parity:
    """Parity with a PyTorch module: its weights copied, outputs, gradients and bfloat16 compared.

    Args:
      function: `(params, *inputs) -> output`, one array.
      spec: what declares its parameters.
      module: a `torch.nn.Module`; a copy of it is used, in `eval()` mode, on the CPU.
      example: the inputs of both, with their batch axes: an array, or a tuple of them.
      names, ignore: as `jnn.interop.torch.load_state_dict` takes them.
      call: `(module, *tensors) -> tensor` in the layout of `function`, such as channels last; by default the module.
      tolerance: of outputs and gradients in float32, relative to the largest number of torch's.
      bfloat16: of outputs in bfloat16, likewise, unless torch itself is half as far off.

    Returns:
      All differences; `print` it for a table.

    Raises:
      AssertionError: a difference is larger. Lists all, and names the first of the module's layers whose output is no
        value that `function` computes.
      ValueError: the state dict does not fit the spec.

    >>> import torch
    >>> from jnn.layers import linear, linear_spec
    >>> check(linear, linear_spec(3, 2), torch.nn.Linear(3, 2), np.ones((4, 3), np.float32)).output < 1e-5
    True
    """
    inputs = tuple(np.asarray(x) for x in (example if isinstance(example, tuple) else (example,)))
    module = copy.deepcopy(module).float().cpu().eval()
    theirs = run(module, call or (lambda module, *x: module(*x)), inputs)
    load = lambda arrays: load_state_dict(spec, arrays, names, ignore=ignore)
    found = _compare(function, load(module.state_dict()), inputs, theirs, load(theirs.weights))
    far = max(found.output, *found.gradients.values()) > tolerance
    if far or found.bfloat16 > max(bfloat16, 2 * found.others):
        where = first_difference(theirs, intermediates(function, found.params, *inputs), tolerance)
        raise AssertionError(f"parity: {where}\n{found}")
    return found


def _compare(
    function: Callable[..., jax.Array], params: Params, inputs: Any, theirs: Reference, gradients: Params
) -> Parity:
    """The differences of a function's output and gradients from those of the module."""
    shape = jax.eval_shape(function, params, *inputs).shape
    if shape != theirs.output.shape:
        raise AssertionError(
            f"parity: the output is {shape}, torch's {theirs.output.shape}. Say by call= how they lie."
        )

    def projected(params: Params, *inputs: Any) -> tuple[jax.Array, jax.Array]:
        output = function(params, *inputs)
        return jnp.sum(output * direction(shape)), output

    floating = [i for i, x in enumerate(inputs) if np.issubdtype(x.dtype, np.floating)]
    argnums = (0, *(i + 1 for i in floating))
    (_, output), (ours, *of_inputs) = jax.jit(jax.value_and_grad(projected, argnums, has_aux=True))(params, *inputs)
    low = lambda tree: jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == np.float32 else x, tree)
    in_low = jax.jit(function)(low(params), *low(inputs))
    far = {path: _far(x, y) for (path, x), y in zip(flatten(ours).items(), jax.tree.leaves(gradients), strict=True)}
    far |= {f"input {i}": _far(x, y) for i, x, y in zip(floating, of_inputs, theirs.inputs, strict=True)}
    return Parity(
        _far(output, theirs.output), far, _far(in_low, theirs.output), _far(theirs.low, theirs.output), params
    )


def _far(found: Any, wanted: Any) -> float:
    """The largest difference, relative to the largest number; infinite for what is NaN on one side alone."""
    a, b = (np.asarray(x).astype(np.float64) for x in (found, wanted))
    difference = np.where(np.isnan(a) & np.isnan(b), 0, np.abs(a - b))
    largest = np.nanmax(np.abs(b), initial=0)
    return float(np.nan_to_num(np.max(difference, initial=0) / (largest or 1), nan=np.inf))


def first_difference(theirs: Reference, values: Sequence[Any], tolerance: float) -> str:
    """The first layer from which on no output of the module is among the values of a function, in words.

    A value counts as the output if it holds the same numbers, in whatever order: axes may lie otherwise.
    """
    ordered: dict[int, list[np.ndarray]] = {}
    for x in values:
        if jnp.issubdtype(x.dtype, jnp.floating):
            ordered.setdefault(x.size, []).append(np.sort(np.asarray(x), axis=None))
    there = [
        _is_among(np.sort(output, axis=None), ordered.get(output.size, []), tolerance) for _, output in theirs.layers
    ]
    last = max((i for i, same in enumerate(there) if same), default=-1)
    if last + 1 == len(there):
        return "every layer's output is among the values of the function: they part after the last, or in the gradient."
    name, output = theirs.layers[last + 1]
    after = f", after {theirs.layers[last][0]}, which is the same" if last >= 0 else ""
    return f"the first layer that differs is {name}{after}: no value of the function is its output {output.shape}."


def _is_among(output: np.ndarray, candidates: list[np.ndarray], tolerance: float) -> bool:
    scale = max(float(np.abs(output).max(initial=0)), 1e-30)
    return any(np.abs(x - output).max(initial=0) <= 10 * tolerance * scale for x in candidates)
