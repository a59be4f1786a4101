"""Parquet, by PyArrow: `pip install 'jnn[parquet]'`.

Law: the same table as CSV and as Parquet gives the same arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jnn.data.sources._budget import budget
from jnn.data.sources._columns import Column, Value, check_columns, describe, holds, to_array
from jnn.data.sources._root import PathLike
from jnn.optional import optional


def read_parquet(
    path: PathLike, columns: Mapping[str, Column], *, missing: Mapping[str, Value] | None = None
) -> dict[str, np.ndarray]:
    """Parquet: the named columns of a file, each as an array of its type.

    Args:
      path: the file.
      columns: name -> int (32 bits), float (64 bits), str, or a tuple of categories, such as ("no", "yes"), which
        become the place among them. No value is rounded, cut or guessed in silence.
      missing: column -> the value that stands for null. In a column without one, null is an error.

    Returns:
      One array (n,) a column.

    Raises:
      ImportError: PyArrow is not installed.
      ValueError: a damaged file, a column that it lacks or has twice, a null or a value that does not fit, or more
        rows or text than a file of its size can hold.

    Example:
      `read_parquet("people.parquet", {"age": int, "smoker": ("no", "yes")}, missing={"age": -1})`
    """
    filled = dict(missing or {})
    check_columns("read_parquet", columns, filled)
    pyarrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    name = Path(path).name
    text = [column for column, kind in columns.items() if kind not in (int, float)]
    limit = budget(Path(path).stat().st_size)
    damaged = (pyarrow.ArrowException, OSError, UnicodeDecodeError, KeyError)  # the last of a name that is none
    with open(path, "rb") as file:
        try:
            found = parquet.ParquetFile(file, read_dictionary=text)  # text that comes again is held once
            names = found.schema_arrow.names
            if lacking := [column for column in columns if names.count(column) != 1]:
                raise ValueError(f"{name}: expected columns {lacking}, each once, found {names[:20]}.")
            _check(name, "rows", found.metadata.num_rows * 8 * len(columns), limit)
            table = found.read(columns=list(columns))
            table.validate(full=True)  # text that is no UTF-8, offsets that leave their buffer
        except damaged as error:
            raise ValueError(f"{name}: not a Parquet file that PyArrow can read ({error}).") from error
    _check(name, "text", sum(_text_bytes(table[column]) for column in text), limit)
    if not table.num_rows:
        raise ValueError(f"{name}: expected at least one row, found none.")
    return {c: _array(f"{name}: column {c!r}", table[c], kind, filled.get(c)) for c, kind in columns.items()}


def _check(name: str, what: str, need: int, limit: int) -> None:
    if need > limit:
        raise ValueError(
            f"{name}: its {what} would take {need} bytes, and data of a file of its size at most {limit}. Is it a "
            "decompression bomb? If not, write it again without compression."
        )


def _text_bytes(values: Any) -> int:
    """What a column of text takes when each value stands for itself."""
    pyarrow, compute = optional("pyarrow", "parquet"), optional("pyarrow.compute", "parquet")
    if not pyarrow.types.is_dictionary(values.type):
        return int(values.nbytes)
    lengths = (compute.binary_length(chunk.dictionary).take(chunk.indices) for chunk in values.chunks)
    return sum(compute.sum(each, min_count=0).as_py() for each in lengths)


def _array(where: str, values: Any, column: Column, missing: Value | None) -> np.ndarray:
    pyarrow, compute = optional("pyarrow", "parquet"), optional("pyarrow.compute", "parquet")
    kinds = {int: pyarrow.int32(), float: pyarrow.float64()}
    kind = pyarrow.string() if isinstance(column, tuple) else kinds.get(column, pyarrow.string())
    try:
        cast = values.cast(kind)
        exact = column is not float or _holds(values, cast)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{where}: {values.type} does not become {kind} ({error}).") from error
    if not exact:
        raise ValueError(f"{where}: {values.type} does not become {kind}: digits would be lost. Read it as str.")
    values = cast
    if column is float and not compute.all(compute.is_finite(values), min_count=0).as_py():
        row = compute.index(compute.is_finite(values), False).as_py()
        raise ValueError(f"{where}: row {row}: expected a finite float, found {values[row].as_py()}.")
    if values.null_count:
        if missing is None:
            row = compute.index(values.is_null(), True).as_py()
            raise ValueError(f"{where}: row {row} is missing. What stands for it? read_parquet(missing={{...}})")
        values = values.fill_null(missing)
    return _places(where, values, column) if isinstance(column, tuple) else to_array(values.to_numpy(), column)


def _holds(values: Any, floats: Any) -> bool:
    """Whether floats are what decimals and texts say; PyArrow itself refuses to round integers alone."""
    pyarrow = optional("pyarrow", "parquet")
    if pyarrow.types.is_decimal(values.type):
        return bool(floats.cast(values.type).equals(values))
    if pyarrow.types.is_string(values.type) or pyarrow.types.is_large_string(values.type):
        pairs = zip(floats.to_pylist(), values.to_pylist(), strict=True)
        return all(text is None or holds(value, text) for value, text in pairs)
    return True


def _places(where: str, values: Any, names: tuple[str, ...]) -> np.ndarray:
    """The place of each value among the names of a category."""
    pyarrow, compute = optional("pyarrow", "parquet"), optional("pyarrow.compute", "parquet")
    places = compute.index_in(values, value_set=pyarrow.array(names))
    if places.null_count:
        row = compute.index(places.is_null(), True).as_py()
        raise ValueError(f"{where}: row {row}: expected {describe(names)}, found {values[row].as_py()!r}.")
    return to_array(places.to_numpy(), names)
