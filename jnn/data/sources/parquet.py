"""Parquet, by PyArrow: `pip install 'jnn[parquet]'`.

Law: the same table as CSV and as Parquet gives the same arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jnn.data.sources.columns import Column, Value, check_columns, describe, to_array
from jnn.data.sources.root import PathLike
from jnn.optional import optional


def read_parquet(
    path: PathLike, columns: Mapping[str, Column], *, missing: Mapping[str, Value] | None = None
) -> dict[str, np.ndarray]:
    """The named columns of a Parquet file, each as an array of its type.

    Args:
      path: the file.
      columns: name -> int, float, str or a tuple of categories; see `jnn.data.sources.columns`.
      missing: column -> the value that stands for null. In a column without one, null is an error.

    Returns:
      One array (n,) a column.

    Raises:
      ImportError: PyArrow is not installed.
      ValueError: a damaged file, a column that it lacks, a null or a value that does not fit.

    Example:
      `read_parquet("people.parquet", {"age": int, "smoker": ("no", "yes")}, missing={"age": -1})`
    """
    filled = dict(missing or {})
    check_columns("read_parquet", columns, filled)
    pyarrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    name = Path(path).name
    with open(path, "rb") as file:
        try:
            found = parquet.ParquetFile(file)
            if lacking := [column for column in columns if column not in found.schema_arrow.names]:
                raise ValueError(f"{name}: expected columns {lacking}, found {found.schema_arrow.names[:20]}.")
            table = found.read(columns=list(columns))
            table.validate(full=True)  # text that is no UTF-8, offsets that leave their buffer
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{name}: not a Parquet file that PyArrow can read ({error}).") from error
    if not table.num_rows:
        raise ValueError(f"{name}: expected at least one row, found none.")
    return {c: _array(f"{name}: column {c!r}", table[c], kind, filled.get(c)) for c, kind in columns.items()}


def _array(where: str, values: Any, column: Column, missing: Value | None) -> np.ndarray:
    pyarrow, compute = optional("pyarrow", "parquet"), optional("pyarrow.compute", "parquet")
    kinds = {int: pyarrow.int32(), float: pyarrow.float32()}
    kind = pyarrow.string() if isinstance(column, tuple) else kinds.get(column, pyarrow.string())
    try:
        values = values.cast(kind, safe=column is not float)  # a float may round, an integer may not
    except pyarrow.ArrowException as error:
        raise ValueError(f"{where}: {values.type} does not become {kind} ({error}).") from error
    if column is float and not compute.all(compute.is_finite(values), min_count=0).as_py():
        row = compute.index(compute.is_finite(values), False).as_py()
        raise ValueError(f"{where}: row {row}: expected a finite float of 32 bits, found {values[row].as_py()}.")
    if values.null_count:
        if missing is None:
            row = compute.index(values.is_null(), True).as_py()
            raise ValueError(f"{where}: row {row} is missing. What stands for it? read_parquet(missing={{...}})")
        values = values.fill_null(missing)
    return _places(where, values, column) if isinstance(column, tuple) else to_array(values.to_numpy(), column)


def _places(where: str, values: Any, names: tuple[str, ...]) -> np.ndarray:
    """The place of each value among the names of a category."""
    pyarrow, compute = optional("pyarrow", "parquet"), optional("pyarrow.compute", "parquet")
    places = compute.index_in(values, value_set=pyarrow.array(names))
    if places.null_count:
        row = compute.index(places.is_null(), True).as_py()
        raise ValueError(f"{where}: row {row}: expected {describe(names)}, found {values[row].as_py()!r}.")
    return to_array(places.to_numpy(), names)
