"""torch: a model as a module of readable source, and its weights beside it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jnn.data import write_safetensors
from jnn.export._literals import UNSIGNED, Unsupported
from jnn.export._program import Program, Value, traced
from jnn.export._torch_source import source
from jnn.export._traced import (
    Shapes,
    any_sizes,
    anywhere,
    argument_names,
    by_paths,
    check_arguments,
    input_shapes,
    weights_beside,
)
from jnn.files import write_whole
from jnn.param import Params, flatten

OURS = {  # a module's
    *("forward", "train", "training", "eval", "to", "type", "float", "half", "double", "bfloat16", "cpu", "cuda"),
    *("apply", "compile", "modules", "children", "parameters", "buffers", "state_dict"),
}
TAKEN = re.compile(r"h\d+|i\d+|torch|self|F|nn|Tensor")  # names that the source has itself


def torch(f: Callable[..., Any], p: Params, *inputs: Any, path: str | Path, shapes: Shapes = "b, ...") -> Path:
    """PyTorch export: a model as a `torch.nn.Module` of generated, readable source, with its weights beside it.

    The function is traced, and each primitive of its jaxpr is written in torch's words: products as `@` or `einsum`,
    convolutions and pooling by `torch.nn.functional`, scans as loops. The module takes batches of any size, its
    parameters have the names of their paths, and it can be trained further. There is no noise in it: a function that
    draws is traced with `key=None`.

        import model                    # model.py, beside model.safetensors; it needs torch and safetensors
        y = model.load()(x)

    Args:
      f: `(p, *inputs) -> outputs`, such as `partial(jnn.models.mlp, key=None)`; outputs are arrays in dicts, tuples
        and lists.
      p: parameters.
      inputs: arrays, or what has their shape and dtype, of any batch size.
      path: of the source, such as `model.py`; the weights are in `model.safetensors`.
      shapes: of all inputs, or of each one: letters are axes of any size; None for the sizes that inputs have.

    Returns:
      The path.

    Raises:
      TypeError: p is a spec, or an input no array.
      ValueError: a primitive that has no torch code, with the line that calls it, shapes that do not fit, or a
        path that no `import` finds.

    >>> import tempfile, jnn
    >>> from functools import partial
    >>> p = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))
    >>> file = torch(partial(jnn.models.mlp, key=None), p, np.zeros((1, 4)), path=f"{tempfile.mkdtemp()}/mlp.py")
    >>> print(file.read_text().split("\\n\\n")[-2])
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x @ self.fc0_w + self.fc0_b) @ self.fc1_w + self.fc1_b
    """
    check_arguments("export.torch", f, p)
    path, flat = _importable(Path(path)), flatten(p)
    specs = input_shapes("export.torch", inputs, shapes)
    try:
        with any_sizes("export.torch", f, p, inputs, specs):
            program = traced(anywhere(by_paths(f, p)), flat, specs)
        names, weights = _weights(program, flat)
        text = source(program, _title(f), _arguments(f, specs), names, weights)
    except Unsupported as error:
        raise ValueError(f"export.torch: {error}") from error
    write_whole(path, text)
    write_safetensors(weights_beside(path), weights)
    return path


def _importable(path: Path) -> Path:
    """A path by whose name Python imports.

    Raises:
      ValueError: it is none.
    """
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        name = re.sub(r"\W", "_", path.stem)
        raise ValueError(f"export.torch: expected a file that Python imports, such as {name}.py, found {path.name!r}.")
    return path


def _weights(program: Program, flat: Mapping[str, Any]) -> tuple[dict[Value, str], dict[str, np.ndarray]]:
    """Attributes of the module: parameters by their paths, and constants."""
    names: dict[Value, str] = {}
    arrays: dict[str, np.ndarray] = {}
    parts = [(re.sub(r"\W", "_", path), value, flat[path]) for path, value in program.params.items()]
    parts += [(f"constant{i}", value, x) for i, (value, x) in enumerate(program.constants.items(), 1)]
    for wanted, value, array in parts:
        taken = not wanted.isidentifier() or keyword.iskeyword(wanted) or wanted in OURS
        name = f"p_{wanted}" if taken else wanted
        while name in arrays:
            name += "_"
        names[value], arrays[name] = f"self.{name}", np.asarray(array, np.int64 if array.dtype in UNSIGNED else None)
    return names, arrays


def _arguments(f: Callable[..., Any], specs: Sequence[jax.ShapeDtypeStruct]) -> list[str]:
    """Names of the inputs: the function's, unless the source has them for something else."""
    free = {name for x in specs for name in re.findall(r"[a-z]\w*", str(x.shape))}
    names = argument_names(f, len(specs))
    return [f"{name}_" if TAKEN.fullmatch(name) or name in free else name for name in names]


def _title(f: Callable[..., Any]) -> str:
    name = getattr(getattr(f, "func", f), "__name__", "model")
    return name if name.isidentifier() else "model"
