"""Modules as text: which statement binds a name, and what a name of one module is in the module that defines it."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import difflib
import functools
import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from jnn.eject._comments import with_comments

INLINED = "jnn.eject._inlined"  # what stands in for `jnn.param` and `jnn.backend` in a file of its own
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True, order=True)
class Symbol:
    """A name of a module's top level, or the module itself (no name); in trees it is an identifier, `module:name`."""

    module: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    @classmethod
    def of(cls, node: ast.AST | None) -> Symbol | None:
        """What a linked expression refers to.

        >>> Symbol.of(ast.Name("jax.numpy:"))
        Symbol(module='jax.numpy', name='')
        """
        if not isinstance(node, ast.Name) or ":" not in node.id:
            return None
        return cls(*node.id.split(":"))


class Source:
    """The top level of a module: the statement that binds each name, with the comments above it."""

    def __init__(self, module: str) -> None:
        self.module = module
        text = _path(module).read_text()
        self.tree = with_comments(ast.parse(text), text)
        bindings = [*_bindings(self.tree.body)]
        self.bound = dict(bindings[::-1])  # the first that binds a name
        times = Counter(name for name, _ in bindings)
        again = {name for name, statement in bindings if times[name] > 1 and not isinstance(statement, ast.Import)}
        self.changed = again | {*_changed(self.tree.body)}

    def line_beside_others(self, name: str) -> int | None:
        """The line that binds a name otherwise than by a statement of its own, if there is one."""
        own_scope = [statement for statement in self.tree.body if not isinstance(statement, Function | ast.ClassDef)]
        stored = [n for s in own_scope for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        return next((node.lineno for node in stored if node.id == name), None)

    def attached(self, name: str) -> Iterator[ast.stmt]:
        """Statements that say more of a definition: `f.defvjp(forward, backward)`, and functions under `@f.defjvp`."""
        for statement in self.tree.body:
            said: list[ast.expr] = statement.decorator_list if isinstance(statement, Function) else _call(statement)
            inner = [node for expression in said for node in ast.walk(expression)]
            if any(isinstance(n, ast.Attribute) and getattr(n.value, "id", None) == name for n in inner):
                yield statement


class Library:
    """The modules that are written out, by their packages; all others are imported.

    Args:
      packages: names of top-level packages, such as "jnn".
    """

    def __init__(self, packages: Iterable[str]) -> None:
        self.packages = frozenset(packages)
        self.source = functools.cache(Source)

    def writes_out(self, module: str) -> bool:
        """Whether a module's definitions are written out, rather than imported."""
        return module.split(".")[0] in self.packages

    def resolve(self, module: str, name: str) -> Symbol | None:
        """What a global name of a module is, where it is defined; None of a builtin.

        Raises:
          ValueError: no statement of its own binds the name; or a module of a user's binds it twice, or changes it.

        >>> Library(["jnn"]).resolve("jnn.layers", "linear")
        Symbol(module='jnn.layers._linear', name='linear')
        """
        source = self.source(module)
        if name in source.changed and module.split(".")[0] != "jnn":
            raise ValueError(
                f"eject: {module} binds {name!r} more than once, or changes it, and what is written out is the first. "
                "Say in one statement what it is."
            )
        statement = source.bound.get(name)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return self._imported(module, statement, name)
        if statement is not None:
            stands_in = module.startswith("jnn.param.") and name in self.source(INLINED).bound
            return Symbol(INLINED if stands_in else module, name)
        if is_module(f"{module}.{name}"):
            return Symbol(f"{module}.{name}")
        if hasattr(builtins, name) or name in ("__name__", "__file__", "__doc__"):
            return None
        if (line := source.line_beside_others(name)) is not None:
            raise ValueError(
                f"eject: line {line} of {module} binds {name!r} by unpacking, or in a loop or a `with`. Give it a "
                f"statement of its own: {name} = ..."
            )
        near = difflib.get_close_matches(name, source.bound, n=1)
        advice = f" Do you mean {near[0]}?" if near else ""
        raise ValueError(f"eject: nothing in the source of {module} binds {name!r}.{advice}")

    def _imported(self, module: str, statement: ast.Import | ast.ImportFrom, name: str) -> Symbol | None:
        alias = next(alias for alias in statement.names if bound_name(alias) == name)
        if isinstance(statement, ast.Import):
            return imported_module(alias)
        place = origin(module, statement)
        within = f"{place}.{alias.name}"
        if self.writes_out(place) and (place != module or not is_module(within)):
            return self.resolve(place, alias.name)
        return Symbol(within) if is_module(within) else Symbol(place, alias.name)

    def definition(self, symbol: Symbol) -> ast.stmt:
        """The statement that defines a symbol."""
        return self.source(symbol.module).bound[symbol.name]


def origin(module: str, statement: ast.ImportFrom) -> str:
    """The full name of the module that a statement of another imports from."""
    name = statement.module or ""
    if not statement.level:
        return name
    base = module if _path(module).name == "__init__.py" else module.rpartition(".")[0]
    above = base.split(".")[: len(base.split(".")) - statement.level + 1]
    return ".".join([*above, *filter(None, [name])])


def bound_name(alias: ast.alias) -> str:
    """The name that a part of an import binds."""
    return alias.asname or alias.name.split(".")[0]


def imported_module(alias: ast.alias) -> Symbol:
    """The module that a part of an `import` binds: without `as` that at the top."""
    return Symbol(alias.name if alias.asname else alias.name.split(".")[0])


@functools.cache
def is_module(name: str) -> bool:
    """Whether there is a module of this full name."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _path(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ValueError(f"eject: found no Python source of the module {module!r}.")
    return Path(spec.origin)


def _call(statement: ast.stmt) -> list[ast.expr]:
    """The call that a statement is, if it is one."""
    return [statement.value] if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else []


def _bindings(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that statements bind, in order; what is bound in branches too."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.Import() | ast.ImportFrom():
                yield from ((bound_name(alias), statement) for alias in statement.names)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = zip(names, values, strict=True)
                yield from _bindings(ast.copy_location(ast.Assign([a], b), statement) for a, b in pairs)
            case ast.Assign(targets=[_, _, *_]):
                yield from _bindings(
                    ast.copy_location(ast.Assign([a], statement.value), statement) for a in statement.targets
                )
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, statement
            case _:
                for part in ("body", "handlers", "orelse", "finalbody"):
                    yield from _bindings(getattr(statement, part, []))


def _changed(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The names of what statements change: `n += 1`, `table["relu"] = f`, `f.rate = 2`; in branches and loops too."""
    for statement in body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        for target in targets:
            inner = target
            while isinstance(inner, ast.Subscript | ast.Attribute):
                inner = inner.value
            if isinstance(inner, ast.Name) and (inner is not target or isinstance(statement, ast.AugAssign)):
                yield inner.id
        if not isinstance(statement, Function | ast.ClassDef):
            for part in ("body", "handlers", "orelse", "finalbody"):
                yield from _changed(getattr(statement, part, []))
