"""The text of a torch module: its statements, sizes and device, the functions that it calls, and what loads it."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jnn
from jnn.eject import formatted
from jnn.export import _control, _elementwise, _indexing, _layout, _products
from jnn.export._literals import UNSIGNED, Unsupported, dtype, each, size
from jnn.export._program import Program, Value
from jnn.export._statements import Assign, lines, renamed, tidy
from jnn.export._writer import Writer
from jnn.inspect import Place

RULES = _elementwise.RULES | _layout.RULES | _indexing.RULES | _products.RULES | _control.RULES
FUNCTIONS = Path(__file__).with_name("_torch_functions.py")
FACTORIES = re.compile(r"torch\.(arange|empty|full|tensor|zeros|ones)\(")
IMPORTS = {"torch.": "import torch\n", "F.": "import torch.nn.functional as F\n"}
HERE = str(Path(__file__).parent)

FILE = '''"""{title} as a torch module, written by jnn {version} (`jnn.export.torch`).

Its weights are in the file of the same name that ends in .safetensors. A comment names the functions that the lines
below it come from.
"""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
{imports}from torch import Tensor, nn

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


def source(
    program: Program,
    title: str,
    arguments: Sequence[str],
    names: Mapping[Value, str],
    weights: Mapping[str, np.ndarray],
) -> str:
    """The text of a file.

    Args:
      program: what the module computes.
      title: its name, in small letters.
      arguments: names of its inputs.
      names: how parameters and constants are written.
      weights: their arrays by attribute, the constants last.

    Raises:
      Unsupported: what has no torch code.
    """
    writer = Writer(RULES, _elementwise.ELEMENTWISE, _comment)
    writer.names |= {**names, **dict(zip(program.body.inputs, arguments, strict=True))}
    writer.live = program.live
    if unsigned := [name for name, x in zip(arguments, program.body.inputs, strict=True) if x.dtype in UNSIGNED]:
        raise Unsupported(f"torch computes nothing with the unsigned integers of {', '.join(unsigned)}.")
    block = writer.block(program.body)
    result = Assign.of([], _tree(jax.tree.unflatten(program.tree, [*map(writer.as_tensor, program.body.outputs)])))
    block = tidy([*block, result])
    renamed(block)
    *body, last = lines(block)
    forward = "\n".join([*_sizes(program, arguments, [*body, last]), *_on_device([*body, f"return {last}"], arguments)])
    functions = "\n\n\n".join(_functions(forward))
    init = "\n".join(_declared(weights, len(program.constants))) or "pass"
    name = "".join(part.capitalize() for part in title.split("_"))
    return formatted(
        FILE.format(
            title=title,
            version=jnn.__version__,
            functions=functions,
            name=name,
            init=textwrap.indent(init, "        "),
            arguments="".join(f", {argument}: Tensor" for argument in arguments),
            returns=" -> Tensor" if jax.tree.structure(0) == program.tree else "",
            imports="".join(line for word, line in IMPORTS.items() if word in init + forward + functions),
            forward=textwrap.indent(forward, "        "),
        )
    )


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
    text, known = "\n".join(body), dict[str, str]()
    for name, value in zip(arguments, program.body.inputs, strict=True):
        for axis, n in enumerate(value.shape):
            known.setdefault(size(n), f"{name}.shape[{axis}]")
    for letter, found in known.items():
        if letter.isidentifier() and re.search(rf"\b{letter}\b", text):
            yield f"{letter} = {found}"


def _on_device(body: list[str], arguments: Sequence[str]) -> list[str]:
    """What is made on the way is made where the input is."""
    text = "\n".join(body)
    if not arguments or not (FACTORIES.search(text) or _called(text)):
        return body
    return [f"with {arguments[0]}.device:", textwrap.indent(text, "    ")]


def _functions(text: str) -> Iterable[str]:
    """The source of what the text calls beside torch, and of what that calls."""
    source = FUNCTIONS.read_text()
    defined = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    texts = {node.name: ast.get_source_segment(source, node) or "" for node in defined}
    wanted = _called(text)
    while more := {name for own in wanted for name in _called(texts[own])} - wanted:
        wanted |= more
    yield from (text for name, text in texts.items() if name in wanted)


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
