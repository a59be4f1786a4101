"""Typed columns, which every table has: what a field may be, and the array that it becomes.

    int             (n,) int32
    float           (n,) float64, finite: Python's own, so that seconds since 1970 keep their fractions
    str             (n,) of Python strings
    ("no", "yes")   (n,) int32, the place among these names: a category

Laws: no value is rounded, cut or guessed in silence: integers are exact or refused, and so are whole numbers among
floats, while fractions become the nearest float of 64 bits; a field that is missing is an error unless the caller gave
a value for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Column = type | tuple[str, ...]
Value = int | float | str

_INT32 = np.iinfo(np.int32)


def check_columns(where: str, columns: Mapping[str, Column], missing: Mapping[str, Value]) -> None:
    """Raises unless the columns are of the kinds above, and what stands for missing fields fits them.

    Raises:
      TypeError: names without types.
      ValueError: no columns, another kind, a repeated category, or a fill value that is none.

    >>> check_columns("read_csv", {"age": int}, {"age": -1})
    """
    if not isinstance(columns, Mapping):
        raise TypeError(f"{where}: expected columns with their types, {{'age': int}}, found {type(columns).__name__}.")
    if not columns:
        raise ValueError(f"{where}: expected at least one column, such as {{'age': int}}.")
    for name, column in columns.items():
        if column not in (int, float, str) and not _is_category(column):
            raise ValueError(
                f"{where}: column {name!r} is int, float, str or a tuple of different names; found {column!r}."
            )
    for name, value in missing.items():
        if name not in columns or not _fills(value, columns[name]):
            kind = columns.get(name, "not among the columns")
            raise ValueError(f"{where}: missing fields of {name!r} ({kind}) cannot become {value!r}.")


def _is_category(column: Column) -> bool:
    """A tuple of different names, at least one."""
    names = column if isinstance(column, tuple) else ()
    return 0 < len(names) == len(set(names)) and all(isinstance(name, str) for name in names)


def _fills(value: Value, column: Column) -> bool:
    if isinstance(column, tuple):
        return value in column
    if column is int:
        return isinstance(value, int) and _INT32.min <= value <= _INT32.max
    return isinstance(value, int | float if column is float else column)


def parse(text: str, column: Column) -> Value:
    """One field of text as a value of its column.

    Raises:
      ValueError: it is none. The message says what was expected and found.

    >>> parse(" 12", int), parse("1e-3", float), parse("yes", ("no", "yes"))
    (12, 0.001, 1)
    """
    if isinstance(column, tuple):
        if text not in column:
            raise ValueError(f"expected {describe(column)}, found {text[:60]!r}")
        return column.index(text)
    if column is str:
        return text
    if not text.isascii() or "_" in text:  # Python's numbers may have other digits and underscores, a table's not
        raise ValueError(f"expected {column.__name__}, found {text[:60]!r}")
    try:
        value = column(text)
    except ValueError:
        raise ValueError(f"expected {column.__name__}, found {text[:60]!r}") from None
    if column is int and not _INT32.min <= value <= _INT32.max:
        raise ValueError(f"expected int that fits 32 bits (or read it as float or str), found {text[:60]!r}")
    if column is float and not (math.isfinite(value) and holds(value, text)):
        raise ValueError(f"expected float that fits 64 bits (or read it as str), found {text[:60]!r}")
    return value


def holds(value: float, text: str) -> bool:
    """Whether the float is what the text says: whole numbers to the last digit, and no other number as zero.

    >>> holds(2.0**53, "9007199254740993"), holds(0.1, "0.1"), holds(0.0, "1e-400")
    (False, True, False)
    """
    digits = text.strip().lstrip("+-")
    whole, _, fraction = digits.partition(".")
    if whole.isdigit() and not fraction.strip("0"):
        return abs(value) == int(whole)
    return value != 0 or not any(digit in "123456789" for digit in digits.lower().partition("e")[0])


def fill(value: Value, column: Column) -> Value:
    """What a missing field becomes: the given value, or the place of the given category."""
    return column.index(str(value)) if isinstance(column, tuple) else value


def to_array(values: Sequence[Any], column: Column) -> np.ndarray:
    """The column as an array.

    >>> to_array([1, 2], int)
    array([1, 2], dtype=int32)
    """
    # strings stay objects: an array of fixed width would give every row the room of the longest
    dtype = np.float64 if column is float else object if column is str else np.int32
    return np.array(values, dtype)


def describe(names: tuple[str, ...]) -> str:
    """The names of a category for an error, not more than ten of them."""
    shown = ", ".join(map(repr, names[:10]))
    return f"one of {shown}" if len(names) <= 10 else f"one of {len(names)} names ({shown}, ...)"
