"""What is left over when checks are gone: local names and arguments that nothing reads."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable

from jnn.eject._comments import commented
from jnn.eject._source import Function, Symbol


def without_unread_names(function: ast.stmt) -> ast.stmt:
    """A function of jnn, without the assignments whose names nothing reads: no right side there has an effect."""
    while True:
        read = Counter(n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
        remover = _Remover(read)
        for node in ast.walk(function):
            if isinstance(node, Function):
                remover.of_function(node)
        if not remover.found:
            return function


class _Remover:
    def __init__(self, read: Counter[str]) -> None:
        self.read, self.found = read, False

    def of_function(self, node: ast.AST) -> None:
        """Removes them from the statements of a function, those of its branches too."""
        for part in ("body", "orelse"):
            if isinstance(statements := getattr(node, part, None), list):
                left = self.left(statements)
                setattr(node, part, left if left or part == "orelse" else [ast.Pass()])
                for statement in statements:
                    if isinstance(statement, ast.If | ast.For | ast.With):
                        self.of_function(statement)

    def left(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements that are read, with their comments."""
        kept: list[ast.stmt] = []
        for comments, statement in commented(statements):
            if self.is_unread(statement):
                self.found = True
            else:
                kept += [*comments, statement]
        return kept

    def is_unread(self, statement: ast.stmt) -> bool:
        """Whether all that a statement does is to bind names that nothing reads."""
        if isinstance(statement, ast.FunctionDef):
            return not statement.decorator_list and not self.read[statement.name]
        if isinstance(statement, ast.AnnAssign):
            targets: Iterable[ast.expr] = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        else:
            return False
        names = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.expr)]
        plain = all(isinstance(n, ast.Name | ast.Tuple | ast.Starred) for n in names)
        return plain and not any(self.read[n.id] for n in names if isinstance(n, ast.Name))


def without_unread_arguments(definitions: dict[Symbol, ast.stmt], roots: Iterable[Symbol]) -> bool:
    """Removes arguments that a function does not read, where all that is done with it is to call it; whether any."""
    calls, values = _uses(definitions)
    found = False
    for symbol, function in definitions.items():
        if not isinstance(function, ast.FunctionDef) or symbol in roots or symbol in values or function.decorator_list:
            continue
        read = {n.id for s in function.body for n in ast.walk(s) if isinstance(n, ast.Name)}
        for name in [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]:
            if name not in read and all(_is_plain(function, call, name) for call in calls.get(symbol, [])):
                found = True
                _remove(function, calls.get(symbol, []), name)
    return found


def _is_plain(function: ast.FunctionDef, call: ast.Call, name: str) -> bool:
    """Whether it is plain to see what a call gives for an argument."""
    if any(isinstance(a, ast.Starred) for a in call.args) or function.args.posonlyargs:
        return False
    places = [argument.arg for argument in function.args.args]
    by_place = name in places and places.index(name) < len(call.args)
    return by_place or all(keyword.arg for keyword in call.keywords)


def _uses(definitions: dict[Symbol, ast.stmt]) -> tuple[dict[Symbol, list[ast.Call]], set[Symbol]]:
    """The calls of each symbol; and the symbols that are used otherwise, as values."""
    calls: dict[Symbol, list[ast.Call]] = {}
    called: set[int] = set()
    values: set[Symbol] = set()
    for statement in definitions.values():
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and (symbol := Symbol.of(node.func)):
                calls.setdefault(symbol, []).append(node)
                called.add(id(node.func))
        for node in ast.walk(statement):
            if id(node) not in called and (symbol := Symbol.of(node)):
                values.add(symbol)
    return calls, values


def _remove(function: ast.FunctionDef, calls: Iterable[ast.Call], name: str) -> None:
    args = function.args
    places = [a.arg for a in args.args]
    for call in calls:
        call.keywords = [k for k in call.keywords if k.arg != name]
        if name in places and places.index(name) < len(call.args):
            del call.args[places.index(name)]
    if name in places:
        at = places.index(name)
        without_default = len(args.args) - len(args.defaults)
        if at >= without_default:
            del args.defaults[at - without_default]
        del args.args[at]
    else:
        at = [a.arg for a in args.kwonlyargs].index(name)
        del args.kwonlyargs[at], args.kw_defaults[at]
