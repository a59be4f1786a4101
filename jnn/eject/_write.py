"""The file: docstrings cut short, imports sorted, definitions under their names, formatted by ruff where it is."""

from __future__ import annotations

import ast
import copy
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping

from jnn.eject._comments import WIDTH, is_comment, is_text, without_marks
from jnn.eject._names import chosen_names, renamed
from jnn.eject._source import Function, Symbol


def written(definitions: Mapping[Symbol, ast.stmt], roots: Iterable[Symbol], title: str) -> str:
    """The text of a file of definitions, in their order."""
    definitions = {symbol: _short(copy.deepcopy(node)) for symbol, node in definitions.items()}
    names = chosen_names(definitions, roots)
    imports = _imports({symbol: name for symbol, name in names.items() if symbol not in definitions})
    body = [renamed(statement, symbol, names) for symbol, statement in definitions.items()]
    return formatted("\n\n".join([f'"""{title}\n"""', "from __future__ import annotations", imports, *_parts(body)]))


def formatted(text: str) -> str:
    """Source text formatted by ruff, if that is there."""
    ruff = shutil.which("ruff")
    if ruff is None:
        return text + "\n"
    command = [ruff, "format", "--isolated", "--line-length", str(WIDTH), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _parts(body: Iterable[ast.stmt]) -> list[str]:
    """Definitions as text; constants that follow each other stand together."""
    parts: list[str] = []
    constants = False
    for statement in body:
        text = without_marks(ast.unparse(ast.fix_missing_locations(statement)))
        now = isinstance(statement, ast.Assign | ast.AnnAssign)
        if now and constants:
            parts[-1] += f"\n{text}"
        else:
            parts.append(text if now else f"\n{text}")
        constants = now
    return parts


def _short(statement: ast.stmt) -> ast.stmt:
    """A definition whose docstrings are what it is, and where it is from."""
    for node in ast.walk(statement):
        if isinstance(node, Function | ast.ClassDef):
            code = [s for s in node.body if not is_text(s) or is_comment(s)]
            doc = ast.get_docstring(node) if node.body and not is_comment(node.body[0]) else None
            said = [ast.Expr(ast.Constant(_cut(doc, node.col_offset + 4)))] if doc else []
            node.body = [*said, *(code or ([] if said else [ast.Pass()]))]
    return statement


def _cut(doc: str, indent: int) -> str:
    """The first paragraph of a docstring, and the one that names its source."""
    first, *others = doc.split("\n\n")
    source = [paragraph for paragraph in others if paragraph.startswith("See ")][:1]
    lines = [_wrapped(paragraph, indent) for paragraph in (first, *source)]
    return f"\n\n{' ' * indent}".join(lines) + (f"\n{' ' * indent}" if len(lines) > 1 else "")


def _wrapped(paragraph: str, indent: int) -> str:
    lines = textwrap.wrap(" ".join(paragraph.split()), WIDTH - indent - 6)
    return f"\n{' ' * indent}".join(lines)


def _imports(external: Mapping[Symbol, str]) -> str:
    """The lines that import what is not written out: the standard library's first, each block sorted."""
    blocks: dict[bool, list[str]] = {True: [], False: []}  # by whether they are of the standard library
    block = lambda module: blocks[module.split(".")[0] in sys.stdlib_module_names]
    called = lambda thing, name: thing if thing == name else f"{thing} as {name}"
    of_modules: dict[str, list[str]] = {}
    for symbol, name in external.items():
        if symbol.name:
            of_modules.setdefault(symbol.module, []).append(called(symbol.name, name))
        else:
            block(symbol.module).append(f"import {called(symbol.module, name)}")
    for module, names in of_modules.items():
        block(module).append(f"from {module} import {', '.join(sorted(names))}")
    order = lambda line: (line.startswith("from"), line)
    return "\n\n".join("\n".join(sorted(lines, key=order)) for lines in blocks.values() if lines)
