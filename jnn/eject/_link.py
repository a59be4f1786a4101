"""Definitions whose global names are symbols: what each refers to, wherever it is defined."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator

from jnn.eject._source import Function, Library, Symbol, bound_name, imported_module, origin

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope = tuple[bool, frozenset[str]]  # whether it is a class's, whose functions do not see it; the names that it binds


def linked(library: Library, symbol: Symbol, statement: ast.stmt) -> ast.stmt:
    """A copy of a statement of symbol's module, with symbols for the global names that it reads.

    Raises:
      ValueError: it uses a module as a value, changes a global name, or imports two things by one name.
    """
    linker = _Linker(library, symbol.module)
    return ast.fix_missing_locations(linker.visit(copy.deepcopy(statement)))


class _Linker(ast.NodeTransformer):
    def __init__(self, library: Library, module: str) -> None:
        self.library, self.module = library, module
        self.scopes: list[Scope] = []
        self.local_imports: dict[str, Symbol] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load) or self._is_local(node.id):
            return node
        symbol = self.local_imports.get(node.id) or self.library.resolve(self.module, node.id)
        return node if symbol is None else ast.copy_location(ast.Name(str(symbol), node.ctx), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.value = self.visit(node.value)
        symbol = Symbol.of(node.value)
        if symbol is None or symbol.name or not self.library.writes_out(symbol.module):
            return node
        member = self.library.resolve(symbol.module, node.attr)
        return ast.copy_location(ast.Name(str(member), node.ctx), node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        raise ValueError(
            f"eject: {self.module} changes the global {', '.join(node.names)} in line {node.lineno}, which a function "
            "of JAX does not. Hand it on as an argument and a result."
        )

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._visit_defaults(node.args)
        with_arguments = frozenset(argument.arg for argument in arguments(node.args))
        node.body = self._within((False, with_arguments), [node.body])[0]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [self.visit(base) for base in node.bases]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        node.body = self._within((True, frozenset(bound(node.body))), node.body)
        return node

    def _function(self, node: Function) -> ast.AST:
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        self._visit_defaults(node.args)
        node.returns = node.returns and self.visit(node.returns)
        outer = self.local_imports
        self.local_imports = outer | self._take_imports(node)
        names = {argument.arg for argument in arguments(node.args)} | bound(node.body)
        node.body = self._within((False, frozenset(names)), node.body)
        self.local_imports = outer
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _take_imports(self, function: Function) -> dict[str, Symbol]:
        """Imports within a function of what is written out are references like any other, in it alone."""
        found: dict[str, Symbol] = {}
        for holder in _of_own_scope(function):
            for part in ("body", "orelse", "finalbody"):
                body = getattr(holder, part, None)
                taken = [s for s in body if self._is_inlined(s)] if isinstance(body, list) else []
                for statement in taken:
                    for alias in statement.names:
                        symbol, name = self._imported(statement, alias), bound_name(alias)
                        if found.setdefault(name, symbol) != symbol:
                            raise ValueError(f"eject: {function.name} imports {found[name]} and {symbol} by one name.")
                if taken:
                    setattr(holder, part, [s for s in body or [] if s not in taken])
        return found

    def _is_inlined(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.Import):
            return all(self.library.writes_out(alias.name) for alias in statement.names)
        return isinstance(statement, ast.ImportFrom) and self.library.writes_out(origin(self.module, statement))

    def _imported(self, statement: ast.stmt, alias: ast.alias) -> Symbol:
        if isinstance(statement, ast.ImportFrom):
            found = self.library.resolve(origin(self.module, statement), alias.name)
            assert found is not None
            return found
        return imported_module(alias)

    def _comprehension(self, node: Comprehension) -> ast.AST:
        targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        node.generators[0].iter = self.visit(node.generators[0].iter)
        first, node.generators[0].iter = node.generators[0].iter, ast.Constant(None)
        self.scopes.append((False, frozenset(targets)))
        self.generic_visit(node)
        self.scopes.pop()
        node.generators[0].iter = first
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def _visit_defaults(self, args: ast.arguments) -> None:
        args.defaults = [self.visit(default) for default in args.defaults]
        args.kw_defaults = [default and self.visit(default) for default in args.kw_defaults]
        for argument in arguments(args):
            argument.annotation = argument.annotation and self.visit(argument.annotation)

    def _within(self, scope: Scope, nodes: list) -> list:
        self.scopes.append(scope)
        visited = [self.visit(node) for node in nodes]
        self.scopes.pop()
        return visited

    def _is_local(self, name: str) -> bool:
        *outer, last = self.scopes or [(False, frozenset())]
        return name in last[1] or any(name in names for of_class, names in outer if not of_class)


def _of_own_scope(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions and classes in it."""
    left: list[ast.AST] = [function]
    while left:
        node = left.pop()
        yield node
        left += [n for n in ast.iter_child_nodes(node) if not isinstance(n, Function | ast.Lambda | ast.ClassDef)]


def arguments(args: ast.arguments) -> Iterator[ast.arg]:
    """All arguments of a function."""
    yield from (*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg)))


def bound(body: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their own scope."""
    return {name for node in body for name in _bound(node)}


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
            return
        case ast.Lambda():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.Import() | ast.ImportFrom():
            yield from map(bound_name, node.names)
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)
