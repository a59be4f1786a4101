"""JSON lines: one object a line, in UTF-8.

Law: any sequence of bytes gives either the records that it encodes or a ValueError that names the
file, the line and the offset in bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jnn.data.sources._damage import Skipped, refuse
from jnn.data.sources._root import PathLike

Field = type | tuple[Any, ...]  # a type, or the values that it may have


def read_jsonl(path: PathLike, fields: Mapping[str, Field], *, skipped: Skipped | None = None) -> list[dict[str, Any]]:
    """JSON lines: the records of a file, reduced to these fields.

    Args:
      path: the file.
      fields: name -> `str`, `int` (of any size), `float` (finite; a whole number that it holds), `bool`, `list`,
        `dict`, or a tuple of the values it may have, such as (0, 1). Whatever else a record holds is left out.
      skipped: counts damaged lines and leaves them out; None stops at the first.

    Returns:
      One dict a line, in the file's order.

    Raises:
      TypeError: names without types.
      ValueError: a line that is not such an object; or no such line in the file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
    ...     _ = file.write('{"text": "good", "stars": 5, "id": 7}')
    ...     file.flush()
    ...     read_jsonl(file.name, {"text": str, "stars": (1, 2, 3, 4, 5)})
    [{'text': 'good', 'stars': 5}]
    """
    if not isinstance(fields, Mapping):
        raise TypeError(f"read_jsonl: expected fields with types, {{'text': str}}, found {type(fields).__name__}.")
    records = []
    for where, line in _lines(Path(path)):
        try:
            records.append(_record(where, line, fields))
        except ValueError as error:
            refuse(where, error, skipped)
    if not records:
        found = f"{skipped.count} damaged ones" if skipped and skipped.count else "an empty file"
        raise ValueError(f"{Path(path).name}: expected one record a line, found {found}.")
    return records


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line, and where it is."""
    offset = 0
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            yield f"{path.name}: line {number}, offset {offset}", line
            offset += len(line)


def _record(where: str, line: bytes, fields: Mapping[str, Field]) -> dict[str, Any]:
    return check_record(where, parse_json(where, line), fields)


def parse_json(where: str, data: bytes) -> Any:
    """What JSON in UTF-8 says; ValueError says where it is none."""
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON in UTF-8 ({error}).") from error


def check_record(where: str, record: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """A record reduced to these fields, as `read_jsonl` does; ValueError says where one is not as it should be."""
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected an object with {sorted(fields)}, found {repr(record)[:60]}.")
    for name, field in fields.items():
        if name not in record or not _fits(record[name], field):
            found = repr(record[name])[:60] if name in record else "no such field"
            raise ValueError(f"{where}: expected {name!r} to be {_describe(field)}, found {found}.")
    return {name: float(record[name]) if field is float else record[name] for name, field in fields.items()}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _fits(value: Any, field: Field) -> bool:
    if isinstance(field, tuple):  # True == 1, so the type counts too
        return any(type(value) is type(one) and value == one for one in field)
    if field is float:  # an integer of JSON may be larger than any float, or lie between two
        return type(value) in (int, float) and abs(value) <= _LARGEST and float(value) == value
    return type(value) is field


_LARGEST = math.nextafter(math.inf, 0)  # 1e999 is infinite


def _describe(field: Field) -> str:
    return f"one of {field}" if isinstance(field, tuple) else f"of type {field.__name__}"
