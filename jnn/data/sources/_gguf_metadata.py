"""GGUF's metadata: Python's own values by name, read from where a cursor stands.

Cursor(name, data)          `at` moves on by what is taken, and never past the end
metadata(cursor, count)     {key: number, boolean, text, or list of them}
"""

from __future__ import annotations

from typing import Any

import numpy as np

_NUMBERS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 10: "<u8", 11: "<i8", 12: "<f8"}
_BOOL, _TEXT, _LIST = 7, 8, 9
_LEAST = {_BOOL: 1, _TEXT: 8, _LIST: 12} | {kind: np.dtype(code).itemsize for kind, code in _NUMBERS.items()}
_DEEPEST = 16  # lists within lists


class Cursor:
    """Cursor: takes a file piece by piece, from its start."""

    def __init__(self, name: str, data: np.ndarray) -> None:
        self.name, self.data, self.at = name, data, 0

    def error(self, problem: str) -> ValueError:
        """An error that names the file and the place."""
        return ValueError(f"{self.name}: offset {self.at}: {problem}.")

    def take(self, count: int, each: int = 1) -> np.ndarray:
        """The bytes of so many things."""
        self.check(count, each)
        begin, self.at = self.at, self.at + count * each
        return self.data[begin : self.at]

    def check(self, count: int, each: int) -> None:
        """Raises ValueError unless the file goes on for so many things of at least so many bytes."""
        if count * each > self.data.size - self.at:
            raise self.error(f"expected {count * each} bytes and more, the file ends at {self.data.size}")

    def whole(self, width: int) -> int:
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.take(width).tobytes(), "little")

    def text(self) -> str:
        """A text behind its length."""
        begin, length = self.at, self.whole(8)
        try:
            return self.take(length).tobytes().decode()
        except UnicodeDecodeError as error:
            self.at = begin
            raise self.error(f"a text that is not UTF-8 ({error})") from error


def metadata(cursor: Cursor, count: int) -> dict[str, Any]:
    """So many keys and values.

    Raises:
      ValueError: they are not what they should be; names the file and the place.
    """
    cursor.check(count, 13)  # of the shortest one
    found: dict[str, Any] = {}
    for _ in range(count):
        key = cursor.text()
        if key in found:
            raise cursor.error(f"the key {key[:60]!r} is there twice")
        found[key] = _value(cursor, _kind(cursor))
    return found


def _kind(cursor: Cursor) -> int:
    kind = cursor.whole(4)
    if kind not in _LEAST:
        raise cursor.error(f"expected a type of metadata from 0 to {max(_LEAST)}, found {kind}")
    return kind


def _value(cursor: Cursor, kind: int) -> Any:
    return _list(cursor, 1) if kind == _LIST else _values(cursor, kind, 1)[0]


def _list(cursor: Cursor, depth: int) -> list[Any]:
    kind, count = _kind(cursor), cursor.whole(8)
    cursor.check(count, _LEAST[kind])
    if kind != _LIST:
        return _values(cursor, kind, count)
    if depth == _DEEPEST:
        raise cursor.error(f"expected at most {_DEEPEST} lists within lists")
    return [_list(cursor, depth + 1) for _ in range(count)]


def _values(cursor: Cursor, kind: int, count: int) -> list[Any]:
    """Values of one type that is no list."""
    if kind == _TEXT:
        return [cursor.text() for _ in range(count)]
    raw = cursor.take(count, _LEAST[kind])
    if kind != _BOOL:
        return raw.view(_NUMBERS[kind]).tolist()
    if (raw > 1).any():
        raise cursor.error("a boolean is neither 0 nor 1")
    return raw.view(np.bool_).tolist()
