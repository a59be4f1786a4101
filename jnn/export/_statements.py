"""Statements of generated Python: what is used once stands where it is used, as far as a line has room.

    Assign(targets, value)                    h1 = x @ w
    Compound([(test, header, block), ...])    for i in range(3): ...      if i == 0: ... else: ...

Expressions have no effects, and a name is assigned once, but those of `fixed` assignments: what a loop carries.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOM = 88  # characters of a statement that something is put into


@dataclasses.dataclass(eq=False)
class Assign:
    """An assignment; without targets an expression that is there for its effect."""

    targets: list[str]
    value: ast.expr
    comment: str = ""
    fixed: bool = False

    @classmethod
    def of(cls, targets: Sequence[str], text: str, comment: str = "", *, fixed: bool = False) -> Assign:
        return cls(list(targets), expression(text), comment, fixed)

    @property
    def text(self) -> str:
        value = ast.unparse(self.value)
        return f"{', '.join(self.targets)} = {value}" if self.targets else value


@dataclasses.dataclass(eq=False)
class Compound:
    """Blocks with a header each: a loop has one, a choice several."""

    parts: list[tuple[ast.expr | None, str, list[Statement]]]  # what the header reads, the header with {}, its block
    comment: str = ""


def expression(text: str) -> ast.expr:
    """Text as an expression."""
    return ast.parse(text, mode="eval").body


Statement = Assign | Compound
BREAK = Assign([], ast.Name("break"))  # as an expression has it, for it reads nothing


def tidy(block: list[Statement]) -> list[Statement]:
    """The block without what nothing reads, and with what is read once in its reader's place."""
    counts = collections.Counter(_names(block))
    return _placed(_needed(block, counts), counts)


def _names(block: Iterable[Statement]) -> Iterator[str]:
    """All that is read, as often as it is."""
    for expression in _expressions(block):
        yield from (node.id for node in ast.walk(expression) if isinstance(node, ast.Name))


def _expressions(block: Iterable[Statement]) -> Iterator[ast.expr]:
    for statement in block:
        if isinstance(statement, Assign):
            yield statement.value
        else:
            for test, _, inner in statement.parts:
                yield from (test,) if test is not None else ()
                yield from _expressions(inner)


def _needed(block: list[Statement], counts: collections.Counter[str]) -> list[Statement]:
    kept: list[Statement] = []
    for statement in reversed(block):
        if isinstance(statement, Compound):
            statement.parts = [(test, header, _needed(inner, counts)) for test, header, inner in statement.parts]
        elif statement.targets and not statement.fixed and not any(counts[name] for name in statement.targets):
            counts.subtract(_names([statement]))
            continue
        kept.append(statement)
    return kept[::-1]


def _placed(block: list[Statement], counts: Mapping[str, int]) -> list[Statement]:
    """What is read once, by a statement of the same block, stands there, or before it where there is no room."""
    waiting: dict[str, Assign] = {}
    done: list[Statement] = []
    for statement in block:
        if isinstance(statement, Compound):
            statement.parts = [(test, header, _placed(inner, counts)) for test, header, inner in statement.parts]
        else:
            for name in [name for name in dict.fromkeys(_names([statement])) if name in waiting]:
                read = waiting.pop(name)
                larger = _Put(name, read.value).visit(expression(ast.unparse(statement.value)))
                done.remove(read)
                if len(ast.unparse(larger)) + sum(map(len, statement.targets)) <= ROOM:
                    statement.value = larger
                else:
                    done.append(read)
            if len(statement.targets) == 1 and counts[statement.targets[0]] == 1 and not statement.fixed:
                waiting[statement.targets[0]] = statement
        done.append(statement)
    return done


class _Put(ast.NodeTransformer):
    """Puts an expression in the place of a name."""

    def __init__(self, name: str, value: ast.expr) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.value if node.id == self.name else node


def lines(block: Iterable[Statement], said: str = "") -> Iterator[str]:
    """The text of statements, with a comment wherever it is another than the last."""
    for statement in block:
        if statement.comment and statement.comment != said:
            said = statement.comment
            yield f"# {said}"
        if isinstance(statement, Assign):
            yield statement.text
        else:
            for test, header, inner in statement.parts:
                yield header.format("" if test is None else ast.unparse(test))
                yield textwrap.indent("\n".join(lines(inner, said)) or "pass", "    ")


def renamed(block: Iterable[Statement]) -> None:
    """Numbers the names h1, h2, ... in the order of their first assignment."""
    names: dict[str, str] = {}
    _number(block, names)
    for expression in _expressions(block):
        for node in ast.walk(expression):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)


def _number(block: Iterable[Statement], names: dict[str, str]) -> None:
    for statement in block:
        if isinstance(statement, Compound):
            for _, _, inner in statement.parts:
                _number(inner, names)
        else:
            new = lambda name: names.setdefault(name, f"h{len(names) + 1}") if name.startswith("_") else name
            statement.targets = [new(name) for name in statement.targets]
