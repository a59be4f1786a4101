"""What a module of torch computes: outputs and gradients, in float32 and bfloat16, and the output of every layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jnn.optional import optional


class Reference(NamedTuple):
    """A run of a module.

    Attributes:
      output: in float32.
      weights: name -> the gradient of the projected output; NaN of what is no parameter.
      inputs: that of each floating input.
      layers: the name, kind and output of each layer, in the order in which they were called.
      low: the output of the module and its inputs in bfloat16.
    """

    output: np.ndarray
    weights: dict[str, np.ndarray]
    inputs: list[np.ndarray]
    layers: list[tuple[str, np.ndarray]]
    low: np.ndarray


def run(module: Any, call: Callable[..., Any], inputs: tuple[np.ndarray, ...]) -> Reference:
    """Runs a module, already a copy in float32, on its inputs.

    Raises:
      TypeError: it returns no tensor of floating numbers.
      ValueError: none of these is finite.
    """
    torch = optional("torch", "test")
    layers: list[tuple[str, np.ndarray]] = []
    tensors = [_tensor(torch, x) for x in inputs]
    for weight in module.parameters():
        weight.requires_grad_(weight.is_floating_point())
    hooks = [part.register_forward_hook(_tell(name, layers)) for name, part in module.named_modules()]
    output = _checked(call(module, *tensors))
    for hook in hooks:
        hook.remove()
    (output.nan_to_num(0, 0, 0) * torch.tensor(direction(output.shape))).sum().backward()
    with torch.no_grad():
        low = [x.bfloat16() if x.is_floating_point() else x for x in tensors]
        in_low = call(copy.deepcopy(module).bfloat16(), *low).float().numpy()
    parameters = dict(module.named_parameters(remove_duplicate=False))
    return Reference(
        output.detach().numpy(),
        {name: _gradient(parameters[name]) if name in parameters else _unknown(x) for name, x in _arrays(module)},
        [_gradient(x) for x in tensors if x.requires_grad],
        layers,
        in_low,
    )


def direction(shape: tuple[int, ...]) -> np.ndarray:
    """What outputs are projected on."""
    return np.cos(np.arange(np.prod(shape, dtype=int))).astype(np.float32).reshape(tuple(shape))


def _tensor(torch: Any, x: np.ndarray) -> Any:
    """An input as torch's modules take them: float32, int64 or bool."""
    if np.issubdtype(x.dtype, np.floating):
        return torch.tensor(x.astype(np.float32), requires_grad=True)
    return torch.tensor(x.astype(bool if x.dtype == bool else np.int64))


def _checked(output: Any) -> Any:
    if not hasattr(output, "is_floating_point") or not output.is_floating_point():
        found = getattr(output, "dtype", type(output).__name__)
        raise TypeError(
            f"parity: expected one tensor of floating numbers from the module, found {found}. Choose one by "
            "call=lambda module, x: module(x)[0]."
        )
    if not output.isfinite().any():
        raise ValueError("parity: the module's output is nowhere finite, so it tells nothing. Give another example.")
    return output


def _arrays(module: Any) -> list[tuple[str, Any]]:
    return [(name, x) for name, x in module.state_dict().items() if x.is_floating_point()]


def _gradient(x: Any) -> np.ndarray:
    return np.zeros(tuple(x.shape), np.float32) if x.grad is None else np.asarray(x.grad)


def _unknown(x: Any) -> np.ndarray:
    return np.full(tuple(x.shape), np.nan, np.float32)


def _tell(name: str, layers: list[tuple[str, np.ndarray]]) -> Callable[..., None]:
    """A hook that keeps a layer's first output as it is now: a later one may overwrite it."""

    def keep(part: Any, given: Any, output: Any) -> None:
        while isinstance(output, tuple | list) and output:
            output = output[0]
        if hasattr(output, "detach") and output.is_floating_point():
            layers.append((f"{name or 'the whole'} ({type(part).__name__})", output.detach().numpy().copy()))

    return keep
