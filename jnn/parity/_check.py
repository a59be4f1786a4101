"""`check`: a function against a module of torch, in values, gradients and bfloat16."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.checks import describe
from jnn.inspect import format_table
from jnn.inspect.nonfinite import intermediates
from jnn.interop.torch import Names, load_state_dict
from jnn.optional import optional
from jnn.param import Params, Spec, check_spec, flatten
from jnn.parity._reference import Reference, direction, run

# of the largest gradient, that others are measured by at least: what is 0 by itself is rounding on both sides
FLOOR = 0.1


@dataclasses.dataclass(frozen=True)
class Parity:
    """Differences of two implementations, each relative to the largest number of the other one's.

    Attributes:
      output: of the outputs in float32.
      gradients: path -> that of a projected output's gradient in float32; of inputs "input 0", "input 1", ... What is
        no parameter on the other side, such as running statistics, is left out.
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

    def faults(self, tolerance: float, bfloat16: float) -> list[str]:
        """What is further off than that."""
        found = ["the output"] if self.output > tolerance else []
        found += [f"the gradient of {name}" for name, x in self.gradients.items() if x > tolerance]
        return found + (["the output in bfloat16"] if self.bfloat16 > max(bfloat16, 2 * self.others) else [])


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
      function: `(params, *inputs) -> output`, one array; where it takes a keyword `key`, that is None.
      spec: what declares its parameters.
      module: a `torch.nn.Module`; a copy of it is used, in `eval()` mode, on the CPU.
      example: the inputs of both, with their batch axes: an array, or a tuple of them; floating ones as float32.
      names, ignore: as `jnn.interop.torch.load_state_dict` takes them.
      call: `(module, *tensors) -> tensor` in the layout of `function`, such as channels last; by default the module.
      tolerance: of outputs and gradients in float32, relative to the largest number of torch's.
      bfloat16: of outputs in bfloat16, likewise, unless torch itself is half as far off.

    Returns:
      All differences; `print` it for a table.

    Raises:
      AssertionError: a difference is larger. Says which, lists all, and names the layers of the module whose output is
        no value that `function` computes: the first of them is where to look. (An activation that is no module is not
        among them: the next layer is.)
      TypeError: a side is none, such as a state dict in the place of its module, or returns no single array of floating
        numbers.
      ValueError: the state dict does not fit the spec, or the module's output is nowhere finite.

    >>> import torch
    >>> from jnn.layers import linear, linear_spec
    >>> check(linear, linear_spec(3, 2), torch.nn.Linear(3, 2), np.ones((4, 3))).output < 1e-5
    True
    """
    _check_sides(function, spec, module)
    inputs = tuple(_input(x) for x in (example if isinstance(example, tuple) else (example,)))
    if "key" in inspect.signature(function).parameters:
        function = partial(function, key=None)
    module = copy.deepcopy(module).float().cpu().eval()
    theirs = run(module, call or (lambda module, *x: module(*x)), inputs)
    load = lambda arrays: load_state_dict(spec, arrays, names, ignore=ignore)
    found = _compare(function, load(module.state_dict()), inputs, theirs, load(theirs.weights))
    if faults := found.faults(tolerance, bfloat16):
        where = differing_layers(theirs, intermediates(function, found.params, *inputs), tolerance)
        raise AssertionError(f"parity: {faults[0]} differs{_more(faults)}. {where}\n{found}")
    return found


def _check_sides(function: Any, spec: Any, module: Any) -> None:
    """Raises TypeError unless there is a function, what declares its parameters, and a module."""
    if not callable(function):
        raise TypeError(f"parity: expected a function (params, *inputs) -> output, found {describe(function)}.")
    check_spec("parity", spec)
    if not isinstance(module, optional("torch", "test").nn.Module):
        computes = " Weights compute nothing: give the module that they are loaded into, module.load_state_dict(...)."
        advice = computes if isinstance(module, Mapping) else ""
        raise TypeError(f"parity: expected a torch.nn.Module, found {describe(module)}.{advice}")


def _compare(
    function: Callable[..., jax.Array], params: Params, inputs: Any, theirs: Reference, gradients: Params
) -> Parity:
    """The differences of a function's output and gradients from those of the module."""
    shape = getattr(jax.eval_shape(function, params, *inputs), "shape", None)
    if shape is None:
        raise TypeError(
            "parity: expected one array from the function. Choose it: lambda params, x: function(params, x)[0]."
        )
    if shape != theirs.output.shape:
        raise AssertionError(
            f"parity: the output is {shape}, torch's {theirs.output.shape}. Say by call= how they lie."
        )

    def projected(params: Params, *inputs: Any) -> tuple[jax.Array, jax.Array]:
        output = function(params, *inputs)
        return jnp.sum(jnp.nan_to_num(output, nan=0, posinf=0, neginf=0) * direction(shape)), output

    floating = [i for i, x in enumerate(inputs) if np.issubdtype(x.dtype, np.floating)]
    argnums = (0, *(i + 1 for i in floating))
    (_, output), (ours, *of_inputs) = jax.jit(jax.value_and_grad(projected, argnums, has_aux=True))(params, *inputs)
    low = lambda tree: jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == np.float32 else x, tree)
    in_low = jax.jit(function)(low(params), *low(inputs))
    pairs = [*zip(flatten(ours), jax.tree.leaves(ours), jax.tree.leaves(gradients), strict=True)]
    pairs = [(path, a, b) for path, a, b in pairs if not np.isnan(b).all()]
    pairs += [(f"input {i}", a, b) for i, a, b in zip(floating, of_inputs, theirs.inputs, strict=True)]
    floor = FLOOR * max((float(np.abs(b).max(initial=0)) for _, _, b in pairs), default=0.0)
    far = {path: _far(a, b, floor) for path, a, b in pairs}
    return Parity(
        _far(output, theirs.output), far, _far(in_low, theirs.output), _far(theirs.low, theirs.output), params
    )


def _input(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.float32) if np.issubdtype(x.dtype, np.floating) else x


def _far(found: Any, wanted: Any, floor: float = 0.0) -> float:
    """The largest difference, relative to the largest number; infinite for what is not finite on one side alone."""
    a, b = (np.asarray(x).astype(np.float64) for x in (found, wanted))
    with np.errstate(invalid="ignore"):
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
    largest = np.max(np.abs(b), where=np.isfinite(b), initial=floor)
    return float(np.nan_to_num(np.max(difference, initial=0) / (largest or 1), nan=np.inf))


def _more(faults: Sequence[str]) -> str:
    return f", and {len(faults) - 1} more" if len(faults) > 1 else ""


def differing_layers(theirs: Reference, values: Sequence[Any], tolerance: float) -> str:
    """The layers whose output is not among the values of a function, in words.

    A value counts as the output if it holds the same numbers, in whatever order: axes may lie otherwise.
    """
    ordered: dict[int, list[np.ndarray]] = {}
    for x in values:
        if jnp.issubdtype(x.dtype, jnp.floating):
            ordered.setdefault(x.size, []).append(np.sort(np.asarray(x), axis=None))
    there = [
        _is_among(np.sort(output, axis=None), ordered.get(output.size, []), tolerance) for _, output in theirs.layers
    ]
    absent = [name for (name, _), same in zip(theirs.layers, there, strict=True) if not same]
    if not absent:
        return "Every layer's output is among the values of the function."
    before = next((i for i, same in enumerate(there) if not same), 0)
    after = f", after {theirs.layers[before - 1][0]}, which is the same" if before else ""
    rest = f" Likewise {', '.join(absent[1:6])}{', ...' if len(absent) > 6 else ''}." if absent[1:] else ""
    return f"The first layer whose output is no value of the function is {absent[0]}{after}.{rest}"


def _is_among(output: np.ndarray, candidates: list[np.ndarray], tolerance: float) -> bool:
    with np.errstate(invalid="ignore"):
        scale = np.max(np.abs(output), where=np.isfinite(output), initial=1e-30)
        near = lambda x: (np.abs(x - output) <= tolerance * scale) | (x == output) | (np.isnan(x) & np.isnan(output))
        return any(near(x).all() for x in candidates)
