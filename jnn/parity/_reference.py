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
      weights: name -> the gradient of the projected output; 0 of what is no parameter.
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
    """Runs a module, already a copy in float32, on its inputs."""
    torch = optional("torch", "test")
    layers: list[tuple[str, np.ndarray]] = []
    tensors = [torch.tensor(x, requires_grad=bool(np.issubdtype(x.dtype, np.floating))) for x in inputs]
    hooks = [part.register_forward_hook(_tell(name, layers)) for name, part in module.named_modules() if name]
    output = call(module, *tensors)
    for hook in hooks:
        hook.remove()
    (output * torch.tensor(direction(output.shape))).sum().backward()
    parameters = dict(module.named_parameters())
    gradient = lambda x: np.zeros(tuple(x.shape), np.float32) if x.grad is None else x.grad.numpy()
    with torch.no_grad():
        low = [x.bfloat16() if x.is_floating_point() else x for x in tensors]
        in_low = call(copy.deepcopy(module).bfloat16(), *low).float().numpy()
    return Reference(
        output.detach().numpy(),
        {name: gradient(parameters.get(name, x)) for name, x in module.state_dict().items()},
        [gradient(x) for x in tensors if x.requires_grad],
        layers,
        in_low,
    )


def direction(shape: tuple[int, ...]) -> np.ndarray:
    """What outputs are projected on."""
    return np.cos(np.arange(np.prod(shape, dtype=int))).astype(np.float32).reshape(tuple(shape))


def _tell(name: str, layers: list[tuple[str, np.ndarray]]) -> Callable[..., None]:
    """A hook that keeps a layer's first output as it is now: a later one may overwrite it."""

    def keep(part: Any, given: Any, output: Any) -> None:
        while isinstance(output, tuple | list):
            output = output[0]
        if hasattr(output, "detach"):
            layers.append((f"{name} ({type(part).__name__})", output.detach().numpy().copy()))

    return keep
