"""One name for each symbol of a file: its own where that is free, and where nothing local hides it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping

from jnn.eject._link import arguments, bound
from jnn.eject._source import Symbol

USUAL = {"numpy": "np", "jax.numpy": "jnp"}


def chosen_names(definitions: Mapping[Symbol, ast.stmt], roots: Iterable[Symbol]) -> dict[Symbol, str]:
    """The name of each symbol that definitions define or refer to: roots', modules' and public ones' first.

    >>> one, other = Symbol("a._f", "g"), Symbol("b._h", "g")
    >>> both = {symbol: ast.parse("def g(): return 0").body[0] for symbol in (one, other)}
    >>> list(chosen_names(both, roots=[one]).values())
    ['g', 'h_g']
    """
    hidden = _hidden(definitions)
    first = [*roots]
    rank = lambda s: (s not in first, bool(s.name), s not in definitions, s.name.startswith("_"), s.name, s.module)
    names: dict[Symbol, str] = {}
    for symbol in sorted({*definitions, *hidden}, key=rank):
        taken = {*names.values(), *hidden.get(symbol, ())}
        names[symbol] = next(name for name in _candidates(symbol) if name not in taken and not hasattr(builtins, name))
    return names


def renamed(statement: ast.stmt, symbol: Symbol, names: Mapping[Symbol, str]) -> ast.stmt:
    """A definition under its name, that refers to others by theirs."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and (found := Symbol.of(node)):
            node.id = names[found]
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            statement.name = names[symbol]
        case ast.Assign(targets=[ast.Name() as target]) | ast.AnnAssign(target=ast.Name() as target):
            target.id = names[symbol]
    return statement


def _candidates(symbol: Symbol) -> Iterator[str]:
    if not symbol.name:
        yield USUAL.get(symbol.module, symbol.module.split(".")[-1])
        yield symbol.module.replace(".", "_")
    name, module = symbol.name, symbol.module.split(".")[-1].strip("_")
    yield name
    longer = f"{'apply' if module == name else module}_{name.strip('_')}"
    yield f"_{longer}" if name.startswith("_") else longer
    yield from (f"{longer}_{i}" for i in range(2, 1000))


def _hidden(definitions: Mapping[Symbol, ast.stmt]) -> dict[Symbol, set[str]]:
    """Of each symbol that is referred to, the local names where it is: it cannot go by these."""
    hidden: dict[Symbol, set[str]] = {}
    for statement in definitions.values():
        _look(statement, frozenset(), hidden)
    return hidden


def _look(node: ast.AST, local: frozenset[str], hidden: dict[Symbol, set[str]]) -> None:
    if found := Symbol.of(node):
        hidden.setdefault(found, set()).update(local)
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            local |= bound(node.body) | {argument.arg for argument in arguments(node.args)}
        case ast.ClassDef():
            local |= bound(node.body)
        case ast.Lambda():
            local |= {argument.arg for argument in arguments(node.args)}
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            local |= {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
    for child in ast.iter_child_nodes(node):
        _look(child, local, hidden)
