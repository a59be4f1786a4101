"""The order of definitions in a file: each behind what it needs, and what says more of it right behind it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from jnn.eject._source import Function, Symbol


def references(statement: ast.AST) -> Iterator[Symbol]:
    """The symbols that a statement refers to, in order."""
    for node in ast.walk(statement):
        if symbol := Symbol.of(node):
            yield symbol


def _needed(statement: ast.stmt) -> Iterator[Symbol]:
    """What has to be there when a definition is run: decorators, defaults, base classes, values."""
    if isinstance(statement, Function):
        args = statement.args
        for node in (*statement.decorator_list, *args.defaults, *filter(None, args.kw_defaults)):
            yield from references(node)
    else:
        yield from references(statement)


def _attached_to(definitions: dict[Symbol, ast.stmt]) -> dict[Symbol, list[Symbol]]:
    """What says more of a function, under `@f.defjvp` or as `f.defvjp(...)`, by that function."""
    behind: dict[Symbol, list[Symbol]] = {}
    for symbol, statement in definitions.items():
        said = statement.decorator_list if isinstance(statement, Function) else [statement] * ("@" in symbol.name)
        for node in (n for expression in said for n in ast.walk(expression)):
            if isinstance(node, ast.Attribute) and (subject := Symbol.of(node.value)) in definitions:
                behind.setdefault(subject, []).append(symbol)
    return behind


def ordered(definitions: dict[Symbol, ast.stmt], roots: Iterable[Symbol]) -> list[Symbol]:
    """Symbols, each behind those that it refers to, as far as they do not refer to each other."""
    done: dict[Symbol, None] = {}
    seen: set[Symbol] = set()
    behind = _attached_to(definitions)

    def visit(symbol: Symbol) -> None:
        if symbol in seen or symbol not in definitions:
            return
        seen.add(symbol)
        for other in _needed(definitions[symbol]):
            visit(other)
        for other in references(definitions[symbol]):
            visit(other)
        done[symbol] = None
        for other in behind.get(symbol, ()):
            visit(other)

    for symbol in [*roots, *definitions]:
        visit(symbol)
    return _definable(definitions, done)


def _definable(definitions: dict[Symbol, ast.stmt], wanted: Iterable[Symbol]) -> list[Symbol]:
    """The order that is wanted, but for what a definition needs as it is run: that stands before it."""
    placed: dict[Symbol, None] = {}

    def place(symbol: Symbol) -> None:
        if symbol not in definitions or symbol in placed:
            return
        for other in _needed(definitions[symbol]):
            if other != symbol:
                place(other)
        placed[symbol] = None

    for symbol in wanted:
        place(symbol)
    return [*placed]
