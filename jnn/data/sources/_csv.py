"""CSV: a line of names, then one row a line; fields may be quoted (RFC 4180), and of any length.

Law: any sequence of bytes gives either the columns that it encodes or a ValueError that names the
file, the line and the offset in bytes.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from jnn.data.sources._columns import Column, Value, check_columns, fill, parse, to_array
from jnn.data.sources._damage import Skipped, refuse
from jnn.data.sources._root import PathLike


def read_csv(
    path: PathLike,
    columns: Mapping[str, Column],
    *,
    missing: Mapping[str, Value] | None = None,
    markers: Sequence[str] = ("",),
    delimiter: str = ",",
    skipped: Skipped | None = None,
) -> dict[str, np.ndarray]:
    """CSV: the named columns of a file in UTF-8, each as an array of its type.

    Args:
      path: the file. Lines end in LF, CR LF or CR; blank ones are no rows; a byte order mark is no part of a name.
      columns: name -> int (32 bits), float (64 bits), str, or a tuple of categories, such as ("no", "yes"), which
        become the place among them. No value is rounded, cut or guessed in silence. Read a column as
        str to find its categories (in the *training* rows): `tuple(sorted(set(column)))`.
      missing: column -> the value of its missing fields, such as `{"age": math.nan}`. In a column
        without one, a missing field is damage.
      markers: the fields that mean "missing", such as ("", "NA", "?").
      delimiter: between fields.
      skipped: counts damaged rows and leaves them out; None stops at the first.

    Returns:
      One array (n,) a column.

    Raises:
      ValueError: no line of names, a column that it lacks or has twice, a damaged row, or no row.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("age,smoker,name\\n61,no,Ada\\n,yes,Bob\\n")
    ...     file.flush()
    ...     read_csv(file.name, {"age": int, "smoker": ("no", "yes")}, missing={"age": -1})
    {'age': array([61, -1], dtype=int32), 'smoker': array([0, 1], dtype=int32)}
    """
    filled = dict(missing or {})
    check_columns("read_csv", columns, filled)
    rows, name = _rows(Path(path), delimiter), Path(path).name
    where, names = next(rows, (name, []))
    header = _fields(where, names, None)
    at = _places(where, header, columns)
    values: dict[str, list[Value]] = {column: [] for column in columns}
    for where, row in rows:
        try:
            fields = _fields(where, row, len(header))
            found = {c: _value(where, c, fields[at[c]], columns[c], filled, markers) for c in columns}
        except ValueError as error:
            refuse(where, error, skipped)
            continue
        for column, value in found.items():
            values[column].append(value)
    arrays = {column: to_array(values[column], kind) for column, kind in columns.items()}
    if not len(next(iter(arrays.values()))):
        damaged = f" and {skipped.count} damaged ones" if skipped and skipped.count else ""
        raise ValueError(f"{name}: expected rows under the line of names, found none{damaged}.")
    return arrays


def _rows(path: Path, delimiter: str) -> Iterator[tuple[str, list[str] | csv.Error]]:
    """Each row, or what is wrong with it, and where it begins."""
    end = 0

    def text() -> Iterator[str]:
        nonlocal end
        for line in itertools.chain.from_iterable(
            block.splitlines(keepends=True) for block in file
        ):  # CR ends one, too
            end += len(line)
            # what is not UTF-8 is found by row, not by the block that the file is read in
            yield line.decode("utf-8", "surrogateescape").removeprefix("\ufeff" if end == len(line) else "")

    # one limit for the process: raised to what this file can hold, and left, since another thread may be reading
    csv.field_size_limit(max(csv.field_size_limit(), path.stat().st_size))
    with open(path, "rb") as file:
        reader = csv.reader(text(), delimiter=delimiter, strict=True)
        row: list[str] | csv.Error | None = []
        while row is not None:
            where = f"{path.name}: line {reader.line_num + 1}, offset {end}"
            try:
                row = next(reader, None)
            except csv.Error as error:
                row = error
            if row:
                yield where, row


def _places(where: str, names: list[str], columns: Mapping[str, Column]) -> dict[str, int]:
    """The place of each column in a row."""
    for column in columns:
        if names.count(column) != 1:
            raise ValueError(f"{where}: expected one column {column!r}, found {names.count(column)} in {names[:20]}.")
    return {column: names.index(column) for column in columns}


def _fields(where: str, row: list[str] | csv.Error, expected: int | None) -> list[str]:
    """A row that is whole and in UTF-8."""
    if isinstance(row, csv.Error):
        raise ValueError(f"{where}: not CSV ({row}).") from row
    if expected is not None and len(row) != expected:
        raise ValueError(f"{where}: expected {expected} fields, found {len(row)}.")
    try:
        "".join(row).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: not UTF-8.") from error
    return row


def _value(
    where: str, name: str, field: str, column: Column, missing: Mapping[str, Value], markers: Sequence[str]
) -> Value:
    if field in markers:
        if name not in missing:
            raise ValueError(f"{where}: column {name!r} is missing. What stands for it? read_csv(missing={{...}})")
        return fill(missing[name], column)
    try:
        return parse(field, column)
    except ValueError as error:
        raise ValueError(f"{where}: column {name!r}: {error}.") from None
