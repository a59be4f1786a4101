"""torch: a model as a module of readable source, and its weights beside it."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jnn
from jnn.data import write_safetensors
from jnn.eject import formatted
from jnn.export import _control, _elementwise, _layout, _products
from jnn.export._program import Program, Value, traced
from jnn.export._statements import Assign, lines, renamed, tidy
from jnn.export._traced import Shapes, any_sizes, anywhere, by_paths, input_shapes, weights_beside
from jnn.export._writer import UNSIGNED, Unsupported, Writer, dtype, each, size
from jnn.files import write_whole
from jnn.inspect import Place
from jnn.param import Params, flatten

RULES = _elementwise.RULES | _layout.RULES | _products.RULES | _control.RULES
FUNCTIONS = Path(__file__).with_name("_torch_functions.py")
FACTORIES = re.compile(r"torch\.(arange|full|tensor|zeros|ones)\(")
HERE = str(Path(__file__).parent)
OURS = {
    "forward",
    "train",
    "eval",
    "to",
    "type",
    "float",
    "half",
    "double",
    "cpu",
    "cuda",
    "apply",
    "state_dict",
}  # a module's
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
      ValueError: a primitive that has no torch code, with the line that calls it, or shapes that do not fit.

    >>> import tempfile
    >>> from functools import partial
    >>> p = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))
    >>> file = torch(partial(jnn.models.mlp, key=None), p, np.zeros((1, 4)), path=f"{tempfile.mkdtemp()}/mlp.py")
    >>> print(file.read_text().split("\\n\\n")[-2])
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x @ self.fc0_w + self.fc0_b) @ self.fc1_w + self.fc1_b
    """
    path, flat = Path(path), flatten(p)
    specs = input_shapes("export.torch", inputs, shapes)
    try:
        with any_sizes("export.torch"):
            program = traced(anywhere(by_paths(f, p)), flat, specs)
        names, weights = _weights(program, flat)
        text = _source(program, _title(f), _arguments(f, len(specs), specs), names, weights, path)
    except Unsupported as error:
        raise ValueError(f"export.torch: {error}") from error
    write_whole(path, text)
    write_safetensors(weights_beside(path), weights)
    return path


def _weights(program: Program, flat: Mapping[str, Any]) -> tuple[dict[Value, str], dict[str, np.ndarray]]:
    """Attributes of the module: parameters by their paths, and constants."""
    names: dict[Value, str] = {}
    arrays: dict[str, np.ndarray] = {}
    parts = [(re.sub(r"\W", "_", path), value, flat[path]) for path, value in program.params.items()]
    parts += [(f"constant{i}", value, x) for i, (value, x) in enumerate(program.constants.items(), 1)]
    for wanted, value, array in parts:
        name = (
            wanted if wanted.isidentifier() and not keyword.iskeyword(wanted) and wanted not in OURS else f"p_{wanted}"
        )
        name += "_" * sum(known.rstrip("_") == name for known in arrays)
        names[value], arrays[name] = f"self.{name}", np.asarray(array, np.int64 if array.dtype in UNSIGNED else None)
    return names, arrays


def _arguments(f: Callable[..., Any], n: int, specs: Sequence[jax.ShapeDtypeStruct]) -> list[str]:
    """Names of the inputs: those that the function has for them."""
    try:
        found = [name for name, one in inspect.signature(f).parameters.items() if one.kind in (0, 1)][1:]
    except (TypeError, ValueError):
        found = []
    free = {name for x in specs for name in re.findall(r"[a-z]\w*", str(x.shape))}
    names = [found[i] if i < len(found) else f"x{i + 1}" for i in range(n)]
    return [f"{name}_" if TAKEN.fullmatch(name) or name in free else name for name in names]


def _title(f: Callable[..., Any]) -> str:
    name = getattr(getattr(f, "func", f), "__name__", "model")
    return name if name.isidentifier() else "model"


def _source(
    program: Program,
    title: str,
    arguments: Sequence[str],
    names: Mapping[Value, str],
    weights: Mapping[str, np.ndarray],
    path: Path,
) -> str:
    """The text of the file."""
    writer = Writer(RULES, _elementwise.ELEMENTWISE, _comment)
    writer.names |= {**names, **dict(zip(program.body.inputs, arguments, strict=True))}
    writer.live = program.live
    block = writer.block(program.body)
    if unsigned := [name for name, x in zip(arguments, program.body.inputs, strict=True) if x.dtype in UNSIGNED]:
        raise Unsupported(f"torch computes nothing with the unsigned integers of {', '.join(unsigned)}.")
    result = Assign.of([], _tree(jax.tree.unflatten(program.tree, [*map(writer.as_tensor, program.body.outputs)])))
    block = tidy([*block, result])
    renamed(block)
    *body, last = lines(block)
    forward = "\n".join([*_sizes(program, arguments, [*body, last]), *_on_device([*body, f"return {last}"], arguments)])
    name = "".join(part.capitalize() for part in title.split("_"))
    return formatted(
        FILE.format(
            title=title,
            version=jnn.__version__,
            functions="\n\n\n".join(_functions(forward)),
            name=name,
            init=textwrap.indent("\n".join(_declared(weights, len(program.constants))) or "pass", "        "),
            arguments="".join(f", {argument}: Tensor" for argument in arguments),
            returns=" -> Tensor" if jax.tree.structure(0) == program.tree else "",
            functional="import torch.nn.functional as F\n" * ("F." in forward or bool(_called(forward))),
            forward=textwrap.indent(forward, "        "),
        )
    )


FILE = '''"""{title} as a torch module, written by jnn {version} (`jnn.export.torch`).

Its weights are in the file of the same name that ends in .safetensors. A comment names the functions that the lines
below it come from.
"""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
{functional}from torch import Tensor, nn

{functions}


class {name}(nn.Module):
    """{title}: batches of any size."""

    def __init__(self) -> None:
        super().__init__()
{init}

    def forward(self{arguments}){returns}:
{forward}


def load(path: str | Path = Path(__file__).with_suffix(".safetensors")) -> {name}:
    """The module with its weights."""
    module = {name}()
    module.load_state_dict(safetensors.torch.load_file(path))
    return module.eval()
'''


def _declared(weights: Mapping[str, np.ndarray], constants: int) -> Iterable[str]:
    """The statements that make room for weights."""
    for i, (name, x) in enumerate(weights.items()):
        room = f"torch.empty({each(x.shape)}, dtype={dtype(x.dtype)})".replace(", dtype=torch.float32", "")
        if i < len(weights) - constants and x.dtype.kind not in "biu":
            yield f"self.{name} = nn.Parameter({room})"
        else:
            yield f'self.register_buffer("{name}", {room})'


def _sizes(program: Program, arguments: Sequence[str], body: Sequence[str]) -> Iterable[str]:
    """Free axes, each as the size of an axis of an input."""
    known: set[str] = set()
    for name, value in zip(arguments, program.body.inputs, strict=True):
        for axis, n in enumerate(value.shape):
            letter = size(n)
            if (
                letter.isidentifier()
                and letter not in known
                and any(re.search(rf"\b{letter}\b", line) for line in body)
            ):
                known.add(letter)
                yield f"{letter} = {name}.shape[{axis}]"


def _on_device(body: list[str], arguments: Sequence[str]) -> list[str]:
    """What is made on the way is made where the input is."""
    text = "\n".join(body)
    if not arguments or not (FACTORIES.search(text) or _called(text)):
        return body
    return [f"with {arguments[0]}.device:", textwrap.indent(text, "    ")]


def _functions(text: str) -> Iterable[str]:
    """The source of what the text calls beside torch, and of what that calls."""
    source = FUNCTIONS.read_text()
    wanted = _called(text)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and (
            node.name in wanted or (node.name == "places" and {"gathered", "scattered"} & wanted)
        ):
            yield ast.get_source_segment(source, node) or ""


def _called(text: str) -> set[str]:
    defined = {node.name for node in ast.parse(FUNCTIONS.read_text()).body if isinstance(node, ast.FunctionDef)}
    return {name for name in defined if re.search(rf"(?<![.\w]){name}\(", text)}


def _tree(tree: Any) -> str:
    """Outputs as they are nested."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key!r}: {_tree(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return f"[{', '.join(map(_tree, tree))}]"
    return f"({''.join(f'{_tree(part)}, ' for part in tree)})" if isinstance(tree, tuple) else str(tree)


def _comment(place: Place) -> str:
    """The functions that lead to a line, outermost first, without what is private."""
    found: list[str] = []
    for frame in place.frames:
        if frame.file.startswith(HERE):
            break
        name = frame.function.split(".")[-1].removesuffix("<locals>")
        if not name.startswith(("_", "<")) and name not in found:
            found.append(name)
    return " > ".join(found[::-1][:3])
