"""read_parquet: the same table as CSV gives the same arrays; what does not fit; PyArrow missing."""

import importlib
import math

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
        (["a"], float, r"column 'x': string does not become float"),
        ([[1]], float, r"column 'x': list<.*> does not become float"),
        ([1.0, math.inf], float, r"column 'x': row 1: expected a finite float of 32 bits, found inf"),
        ([1.0, 1e39], float, r"column 'x': row 1: expected a finite float of 32 bits, found inf"),
        (["no", "maybe"], ("no", "yes"), r"column 'x': row 1: expected one of 'no', 'yes', found 'maybe'"),
        ([], int, r"a.parquet: (expected at least one row, found none|column 'x')"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(write, values, column, message):
    with pytest.raises(ValueError, match=message):
        read_parquet(write(x=values), {"x": column})


def test_a_damaged_file_is_one_clear_error(write):
    path = write(x=[1, 2, 3])
    with pytest.raises(ValueError, match=r"a.parquet: expected columns \['y'\], found \['x'\]"):
        read_parquet(path, {"y": int})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"a.parquet: not a Parquet file that PyArrow can read"):
        read_parquet(path, {"x": int})


def test_without_pyarrow_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"^pyarrow is not installed. It comes with: pip install 'jnn\[parquet\]'$"):
        read_parquet(tmp_path / "a.parquet", {"x": int})
