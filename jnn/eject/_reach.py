"""The definitions that functions reach, folded."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator

from jnn.eject._comments import is_text
from jnn.eject._expressions import CONSTANT, HANDED_ON, Meaning, is_ours
from jnn.eject._fold import Folder
from jnn.eject._link import linked
from jnn.eject._order import ordered, references
from jnn.eject._source import Function, Library, Symbol
from jnn.eject._unused import without_unread_arguments, without_unread_names


class Reach:
    """What functions reach, for one backend.

    Args:
      library: of the modules that are written out.
      platform: "cpu", "gpu" or "tpu".
      declared: names of parameters, as in `Folder`.
    """

    def __init__(self, library: Library, platform: str, declared: frozenset[str] | None = None) -> None:
        self.library, self.platform, self.declared = library, platform, declared
        self._linked: dict[Symbol, ast.stmt] = {}
        self._folded: dict[Symbol, ast.stmt] = {}
        self._meanings: dict[Symbol, Meaning | None] = {}

    def definitions(self, roots: Iterable[Symbol]) -> dict[Symbol, ast.stmt]:
        """The definitions that roots reach, in order."""
        roots = [*roots]
        found = self._reached(roots)
        while without_unread_arguments(found, roots):
            found = self._reached(roots, found)
        return {symbol: found[symbol] for symbol in ordered(found, roots)}

    def _reached(self, roots: list[Symbol], within: dict[Symbol, ast.stmt] | None = None) -> dict[Symbol, ast.stmt]:
        found: dict[Symbol, ast.stmt] = {}
        left = roots[::-1]
        while left:
            symbol = left.pop()
            if symbol in found:
                continue
            found[symbol] = self._fold(symbol) if within is None else within[symbol]
            left += [s for s in [*references(found[symbol]), *self._attached(symbol)] if self._is_written_out(s)]
        return found

    def _is_written_out(self, symbol: Symbol) -> bool:
        if not self.library.writes_out(symbol.module):
            return False
        if not symbol.name:
            raise ValueError(
                f"eject: found the module {symbol.module} as a value, while only its functions can be written out. "
                "Name them: jnn.layers.linear."
            )
        return True

    def _attached(self, symbol: Symbol) -> Iterator[Symbol]:
        """Symbols of the statements that say more of a definition; one that defines nothing goes by its line."""
        for statement in self.library.source(symbol.module).attached(symbol.name.split("@")[0]):
            if isinstance(statement, Function):
                yield Symbol(symbol.module, statement.name)
            elif "@" not in symbol.name:
                yield Symbol(symbol.module, f"{symbol.name}@{statement.lineno}")

    def _link(self, symbol: Symbol) -> ast.stmt:
        if symbol not in self._linked:
            name, _, line = symbol.name.partition("@")
            if line:
                statement = next(s for s in self.library.source(symbol.module).attached(name) if s.lineno == int(line))
            else:
                statement = self.library.definition(symbol)
            self._linked[symbol] = linked(self.library, symbol, statement)
        return self._linked[symbol]

    def _define(self, symbol: Symbol) -> ast.stmt | None:
        return self._link(symbol) if self._is_written_out(symbol) else None

    def _fold(self, symbol: Symbol) -> ast.stmt:
        if symbol not in self._folded:
            folder = Folder(symbol, self.platform, self._define, self.meaning, self.declared)
            statement = folder.visit(copy.deepcopy(self._link(symbol)))
            if is_ours(symbol) and isinstance(statement, Function):
                statement = without_unread_names(statement)
            self._folded[symbol] = statement
        return self._folded[symbol]

    def meaning(self, symbol: Symbol) -> Meaning | None:
        """What each call of a function of jnn gives, where it is one of its arguments or a constant."""
        if not is_ours(symbol) or symbol in HANDED_ON or symbol in CONSTANT or not self._is_written_out(symbol):
            return None
        if symbol not in self._meanings:
            self._meanings[symbol] = None  # while it is looked at: of a function that calls itself nothing is known
            statement = self._fold(symbol) if isinstance(self._link(symbol), ast.FunctionDef) else None
            self._meanings[symbol] = _meaning(statement)
        return self._meanings[symbol]


def _meaning(function: ast.stmt | None) -> Meaning | None:
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return None
    given = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
    match [s for s in function.body if not is_text(s)]:
        case [ast.Return(value=ast.Name(id=name))] if name in given:
            return "argument", name
        case [ast.Return(value=ast.Constant(value=value))]:
            return "constant", value
    return None
