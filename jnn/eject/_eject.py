"""What a reader calls: functions, and the declarations beside them, as one file."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

import jnn
from jnn import backend
from jnn.eject._reach import Reach
from jnn.eject._source import INLINED, Library, Symbol, is_module
from jnn.eject._write import written

PLATFORMS = ("cpu", "gpu", "tpu")
FORMULATIONS, INIT, PARAM = (Symbol(INLINED, name) for name in ("FORMULATIONS", "init", "Param"))
Target = str | Callable[..., Any]


def eject(*targets: Target, platform: str | None = None) -> str:
    """Ejected source: functions of jnn, or of your own that call them, as one file of plain JAX that needs no jnn.

    Everything that they reach is written out, by static analysis of its source: declarations as `Param`s with an `init`
    that draws the same values, and the formulations of one backend. Checks of arguments are left out, and so is what
    serves jnn alone: layouts, overrides, compute dtypes, weights of `jnn.quantization`, and parameters that none of the
    declarations declares.

    Args:
      targets: functions by name, `jnn.models.transformer` or `my.module:function`, or themselves. The `_spec` that
        stands beside one comes with it, or those that its docstring says declare its parameters.
      platform: "cpu", "gpu" or "tpu": whose formulations are written; this process's by default.

    Returns:
      The text of a Python file. Outputs, gradients and initial values are those of jnn.

    Raises:
      ValueError: the platform or a target is unknown, has no source, or reaches what cannot be followed.

    >>> text = eject("jnn.models.mlp")
    >>> "import jnn" in text, "def mlp_spec(" in text, "def init(" in text
    (False, True, True)
    """
    platform = platform or jax.default_backend()
    if platform not in PLATFORMS:
        raise ValueError(f"eject: expected a platform of {', '.join(PLATFORMS)}, found {platform!r}.")
    if not targets:
        raise ValueError("eject: expected one or more functions, found none.")
    roots = [_symbol(target) for target in targets]
    library = Library({"jnn", *(symbol.module.split(".")[0] for symbol in roots)})
    roots = [*dict.fromkeys(_defined(library, symbol) for symbol in roots)]
    specs = [spec for symbol in roots for spec in _specs(library, symbol)]
    declared = _declared(Reach(library, platform), specs)
    wanted = [*dict.fromkeys([*specs, *roots, *([INIT] if declared else [])])]
    found = Reach(library, platform, declared).definitions(wanted)
    _fill_table(found, platform)
    return written(found, wanted, _title(roots, platform))


def _symbol(target: Target) -> Symbol:
    """Where a target is looked up."""
    if not isinstance(target, str):
        return _symbol_of(target)
    module, colon, name = target.partition(":")
    if not colon:
        module, _, name = target.rpartition(".")
    expected = f"eject: expected a function such as jnn.models.transformer or my.module:function, found {target!r}"
    if not module or not name:
        raise ValueError(f"{expected}.")
    if not is_module(module):
        advice = "A file work/model.py is the module work.model, of the folder in which Python starts."
        raise ValueError(f"{expected}, and no module {module!r}. {advice}")
    return Symbol(module, name)


def _symbol_of(target: Any) -> Symbol:
    """Where a function is looked up."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "")
    if module in (None, "__main__") or not name.isidentifier():
        raise ValueError(
            f"eject: expected a function at the top level of a module, where its source is found by its name; found "
            f"{target!r}. Put it into a file of its own, and give 'my.module:function'."
        )
    return Symbol(module, name)


def _defined(library: Library, symbol: Symbol) -> Symbol:
    """The symbol of the module that defines it."""
    found = library.resolve(symbol.module, symbol.name)
    if found is None:
        raise ValueError(f"eject: expected a function, found {symbol}.")
    if not found.name:
        module = found.module
        raise ValueError(f"eject: expected a function, found the module {module}. Say which: {module}:function.")
    return found


def _specs(library: Library, symbol: Symbol) -> Iterator[Symbol]:
    """The declarations of a function: itself, the one beside it, or those that its docstring names."""
    if symbol.name.endswith("_spec"):
        yield symbol
        return
    statement, bound = library.definition(symbol), library.source(symbol.module).bound
    doc = ast.get_docstring(statement) if isinstance(statement, ast.FunctionDef) else None
    beside = [f"{symbol.name}_spec"] if f"{symbol.name}_spec" in bound else re.findall(r"`(\w+_spec)`", doc or "")
    for name in beside:
        places = [symbol.module, symbol.module.rpartition(".")[0]]
        place = next((place for place in places if name in library.source(place).bound), None)
        if place is not None and (found := library.resolve(place, name)):
            yield found


def _declared(reach: Reach, specs: Iterable[Symbol]) -> frozenset[str] | None:
    """All strings in the declarations that are reached: among them are the names of all parameters."""
    found = reach.definitions(specs)
    nodes = [node for statement in found.values() for node in ast.walk(statement)]
    strings = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return frozenset(strings) if PARAM in found else None


def _fill_table(found: dict[Symbol, ast.stmt], platform: str) -> None:
    """Writes the backend's formulations into the inlined table, where that is reached."""
    match found.get(FORMULATIONS):
        case ast.AnnAssign() as table:
            rows = {name: (row.on(platform), row.other) for name, row in backend.TABLE.items()}
            table.value = ast.parse(repr(rows), mode="eval").body


def _title(roots: Iterable[Symbol], platform: str) -> str:
    names = ", ".join(symbol.name for symbol in roots)
    return (
        f"{names}: plain JAX, written by jnn {jnn.__version__} (`python -m jnn.eject`) for {platform}.\n\n"
        "Initial values, outputs and gradients are those of jnn, which is not needed here."
    )
