"""Rows of the law table that call ejected functions instead of jnn's."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import jnn
from jnn.eject import eject


def is_ours(value: Any) -> bool:
    """Whether a value is a function or a class of jnn's, at the top of a module."""
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "<")
    return callable(value) and module.startswith("jnn.") and "<" not in name and "." not in name


def is_of_tests(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and value.__module__.startswith("tests.")


def codes(code: types.CodeType):
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from codes(inner)


def parts(value: Any):
    """What a function of the tests is made of: globals that it names, closed-over values, defaults, and their parts."""
    if isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    if isinstance(value, dict):
        yield from value.values()
    if isinstance(value, tuple | list):
        yield from value
    if not is_of_tests(value):
        return
    names = {name for code in codes(value.__code__) for name in code.co_names}
    for name in names & value.__globals__.keys():
        found = value.__globals__[name]
        if isinstance(found, types.ModuleType):
            yield from (getattr(found, inner) for inner in names if hasattr(found, inner))
        else:
            yield found
    yield from (cell.cell_contents for cell in value.__closure__ or ())
    yield from (value.__defaults__ or ())


def reached(value: Any, seen: set[int] | None = None) -> list[Any]:
    """jnn's functions that a function of the tests calls."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return []
    seen.add(id(value))
    if is_ours(value):
        return [] if value.__module__.startswith(("jnn.param", "jnn.laws", "jnn.checks")) else [value]
    return [function for part in parts(value) for function in reached(part, seen)]


class Room:
    """A room of jnn, with ejected functions for its own."""

    def __init__(self, room: types.ModuleType, ejected: types.ModuleType) -> None:
        self.room, self.ejected = room, ejected

    def __getattr__(self, name: str) -> Any:
        return swapped(getattr(self.room, name), self.ejected)


def swapped(value: Any, ejected: types.ModuleType) -> Any:
    """The value, with ejected functions for those of jnn."""
    again = lambda part: swapped(part, ejected)
    if is_ours(value):
        return getattr(ejected, value.__name__, value)
    if isinstance(value, functools.partial):
        return functools.partial(again(value.func), *map(again, value.args), **again(value.keywords))
    if isinstance(value, dict):
        return {name: again(part) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(map(again, value))
    if isinstance(value, types.ModuleType) and value.__name__.startswith("jnn"):
        return Room(value, ejected)
    if not is_of_tests(value):
        return value
    names = {name for code in codes(value.__code__) for name in code.co_names} & value.__globals__.keys()
    known = {**value.__globals__, **{name: again(value.__globals__[name]) for name in names}}
    cells = tuple(types.CellType(again(cell.cell_contents)) for cell in value.__closure__ or ())
    made = types.FunctionType(value.__code__, known, value.__name__, again(value.__defaults__), cells)
    made.__kwdefaults__ = value.__kwdefaults__
    return made


def loaded(text: str) -> types.ModuleType:
    """Ejected source as a module."""
    module = sys.modules["ejected"] = types.ModuleType("ejected")  # dataclasses look their module up
    exec(compile(text, "ejected.py", "exec"), module.__dict__)
    return module


def ejected_row(row: jnn.laws.Block, platform: str | None = None):
    """The row's function, that calls ejected functions; and their source."""
    text = eject(*dict.fromkeys(reached(row.apply)), platform=platform)
    return swapped(row.apply, loaded(text)), text
