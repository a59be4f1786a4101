"""read_parquet: the same table as CSV gives the same arrays; what does not fit; PyArrow missing."""

import importlib
import math
from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest

from jnn.data import read_csv, read_parquet

COLUMNS = {"age": int, "height": float, "smoker": ("no", "yes"), "name": str}
MISSING = {"age": -1, "height": math.nan, "smoker": "no", "name": "?"}


@pytest.fixture
def write(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def save(**columns):
        parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
        return tmp_path / "a.parquet"

    return save


def test_the_same_table_as_csv_gives_the_same_arrays(tmp_path, write):
    path = write(age=[61, None], height=[1.7, None], smoker=["yes", None], name=["Ada", None])
    (tmp_path / "a.csv").write_text("age,height,smoker,name\n61,1.7,yes,Ada\n,,,\n")
    found, expected = (
        read_parquet(path, COLUMNS, missing=MISSING),
        read_csv(tmp_path / "a.csv", COLUMNS, missing=MISSING),
    )
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        ([1, None], int, r"a.parquet: column 'x': row 1 is missing. What stands for it\? read_parquet\(missing="),
        ([1.5], int, r"column 'x': double does not become int32"),
        ([2**40], int, r"column 'x': int64 does not become int32"),
        (["a"], float, r"column 'x': string does not become double"),
        ([[1]], float, r"column 'x': list<.*> does not become double"),
        ([1.0, math.inf], float, r"column 'x': row 1: expected a finite float, found inf"),
        ([2**53 + 1], float, r"column 'x': int64 does not become double"),
        ([str(2**53 + 1)], float, r"column 'x': string does not become double: digits would be lost"),
        (
            [Decimal(2**53 + 1)],
            float,
            r"column 'x': decimal.* does not become double: digits would be lost. Read it as",
        ),
        ([Decimal("1.5")], int, r"column 'x': decimal.* does not become int32"),
        ([datetime(2020, 1, 1)], float, r"column 'x': timestamp.* does not become double"),
        ([datetime(2020, 1, 1)], int, r"column 'x': timestamp.* does not become int32"),
        (["no", "maybe"], ("no", "yes"), r"column 'x': row 1: expected one of 'no', 'yes', found 'maybe'"),
        ([], int, r"a.parquet: (expected at least one row, found none|column 'x')"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(write, values, column, message):
    with pytest.raises(ValueError, match=message):
        read_parquet(write(x=values), {"x": column})


def test_numbers_of_every_kind_are_exact(write):
    """2**53 is the largest whole number up to which a float holds all."""
    import pyarrow

    kinds = [pyarrow.int64(), pyarrow.uint64(), pyarrow.float64(), pyarrow.decimal128(20, 2), pyarrow.string()]
    for kind in kinds:
        numbers = [2**53, 3, None] if kind == pyarrow.uint64() else [2**53, -3, None]
        values = pyarrow.array(map(str, numbers[:2])).cast(kind) if kind == kinds[-1] else pyarrow.array(numbers, kind)
        path = write(x=pyarrow.concat_arrays([values, pyarrow.nulls(1, kind)])[:3].cast(kind))
        found = read_parquet(path, {"x": float}, missing={"x": math.nan})["x"]
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, [2**53, numbers[1], math.nan])
    assert read_parquet(write(x=[Decimal("0.1"), Decimal("12.5")]), {"x": float})["x"].tolist() == [0.1, 12.5]


def test_a_damaged_file_is_one_clear_error(write):
    path = write(x=[1, 2, 3])
    with pytest.raises(ValueError, match=r"a.parquet: expected columns \['y'\], each once, found \['x'\]"):
        read_parquet(path, {"y": int})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"a.parquet: not a Parquet file that PyArrow can read"):
        read_parquet(path, {"x": int})


@pytest.mark.parametrize(("values", "kind"), [([0] * 10**6, int), (["a" * 10**5] * 1000, str)], ids=["rows", "text"])
def test_what_unpacks_to_far_more_than_the_file_is_refused(write, values, kind):
    """Rows that are all alike take next to nothing in a file, and so does long text that comes again."""
    path = write(x=values)
    with pytest.raises(ValueError, match=r"a.parquet: its (rows|text) would take \d+ bytes, and data of a file of"):
        read_parquet(path, {"x": kind})


def test_a_column_that_is_there_twice(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["x", "x"])
    parquet.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"expected columns \['x'\], each once, found \['x', 'x'\]"):
        read_parquet(tmp_path / "a.parquet", {"x": int})


def test_without_pyarrow_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"^pyarrow is not installed. It comes with: pip install 'jnn\[parquet\]'$"):
        read_parquet(tmp_path / "a.parquet", {"x": int})
