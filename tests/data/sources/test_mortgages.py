"""Boston's mortgages: columns from a file that is written here, what is missing, what is damaged, and the real ones."""

import numpy as np
import pytest

from jnn.data import boston_mortgages
from jnn.data.sources._mortgages import COLUMNS
from tests.needed_data import needs


def written(root, *rows):
    (root / "mortgage").mkdir()
    (root / "mortgage" / "loanapp.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")


def row(**values):
    return ",".join(str(values.get(name, 0)) for name in COLUMNS)


def test_columns_are_read_and_what_is_missing_is_nan(tmp_path):
    written(tmp_path, row(approve=1, black=1, hrat=28.5, male=""), row(approve=0, liq=1000000.0, male=1))
    rows = boston_mortgages(tmp_path)
    assert list(rows) == list(COLUMNS)
    assert rows["approve"].tolist() == [1, 0]
    assert rows["hrat"].tolist() == [28.5, 0]
    assert rows["liq"].tolist() == [0, 1000000]
    np.testing.assert_array_equal(rows["male"], [np.nan, 1])


def test_a_damaged_row_is_named(tmp_path):
    written(tmp_path, row(), row(price="much"))
    with pytest.raises(ValueError, match=r"loanapp.csv: line 3.*'price'"):
        boston_mortgages(tmp_path)


def test_the_real_ones():
    needs("mortgage/loanapp.csv")
    rows = boston_mortgages()
    assert len(rows["approve"]) == 1989
    assert rows["approve"].sum() == 1745
    np.testing.assert_array_equal(rows["white"], 1 - np.maximum(rows["black"], rows["hispan"]))
    assert np.isnan(rows["male"]).sum() == 15
