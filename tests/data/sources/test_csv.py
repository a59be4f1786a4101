"""read_csv: types, missing values, damaged rows. The standard library's reader is the oracle of quoting."""

import csv
import io
import math

import numpy as np
import pytest

from jnn.data import Skipped, read_csv

COLUMNS = {"age": int, "height": float, "smoker": ("no", "yes"), "name": str}


def write(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_have_their_types(tmp_path):
    path = write(tmp_path, 'name,age,height,smoker\r\n"Ada, the ""first""",61,1.7,no\r\n\r\nBob\n,-7, 2e0,yes\n')
    with pytest.raises(ValueError, match=r"a.csv: line 4, offset 58: expected 4 fields, found 1"):
        read_csv(path, COLUMNS)
    path = write(
        tmp_path, '\ufeffname,age,height,smoker\r\n"Ada, the ""first""",61,1.7,no\r\n\r\n"Bob\n",-7, 2e0,yes\n'
    )
    found = read_csv(path, COLUMNS)
    assert {name: array.dtype for name, array in found.items()} == {
        "age": np.int32,
        "height": np.float64,
        "smoker": np.int32,
        "name": object,
    }
    assert found["name"].tolist() == ['Ada, the "first"', "Bob\n"]
    assert found["age"].tolist() == [61, -7]
    assert found["smoker"].tolist() == [0, 1]
    np.testing.assert_array_equal(found["height"], [1.7, 2])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_written_is_read(tmp_path, seed):
    rng = np.random.default_rng(seed)
    names = ["".join(rng.choice(list('a"\n,\r é;'), rng.integers(1, 6))) for _ in range(5)]
    rows = [[n, int(rng.integers(-(2**31), 2**31)), rng.normal() * 10.0 ** rng.integers(-300, 300)] for n in names]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";", quoting=csv.QUOTE_ALL).writerows([["s", "i", "f"], *rows])
    found = read_csv(write(tmp_path, text.getvalue()), {"f": float, "i": int, "s": str}, delimiter=";")
    assert found["s"].tolist() == names
    assert found["i"].tolist() == [row[1] for row in rows]
    assert found["f"].tolist() == [row[2] for row in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_end_as_they_do_anywhere_and_fields_have_any_length(tmp_path, end, mark):
    text = "x" * 300_000
    rows = [mark + "id,text", f"1,{text}", f'2,"{text},""{end}"', '3,""']
    found = read_csv(write(tmp_path, end.join(rows)), {"id": int, "text": str}, missing={"text": "none"})
    assert found["id"].tolist() == [1, 2, 3]
    assert found["text"].tolist() == [text, f'{text},"{end}', "none"]
    with pytest.raises(ValueError, match=r"a.csv: line 5, offset .*column 'text' is missing"):
        read_csv(write(tmp_path, end.join(rows)), {"id": int, "text": str})


def test_missing_fields_become_what_was_asked(tmp_path):
    path = write(tmp_path, "age,height,smoker,name\n,NA,NA,\n1,2,yes,x\n")
    missing = {"age": -1, "height": math.nan, "smoker": "no", "name": "?"}
    found = read_csv(path, COLUMNS, missing=missing, markers=("", "NA"))
    assert (found["age"].tolist(), found["smoker"].tolist(), found["name"].tolist()) == ([-1, 1], [0, 1], ["?", "x"])
    np.testing.assert_array_equal(found["height"], [math.nan, 2])


HEADER = "age,height,smoker,name\n1,2,no,x\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,2,no,x", "column 'age': expected int, found 'x'"),
        ("1_0,2,no,x", "column 'age': expected int, found '1_0'"),
        ("١,2,no,x", "column 'age': expected int, found '١'"),
        ("1.5,2,no,x", "column 'age': expected int, found '1.5'"),
        (
            "4294967296,2,no,x",
            "column 'age': expected int that fits 32 bits (or read it as float or str), found '4294967296'",
        ),
        ("9" * 5000 + ",2,no,x", "column 'age': expected int, found '999"),
        ("1,nan,no,x", "column 'height': expected float that fits 64 bits (or read it as str), found 'nan'"),
        ("1,1e309,no,x", "column 'height': expected float that fits 64 bits (or read it as str), found '1e309'"),
        ("1,1e-400,no,x", "column 'height': expected float that fits 64 bits (or read it as str), found '1e-400'"),
        ("1,9007199254740993,no,x", "column 'height': expected float that fits 64 bits (or read it as str), found '90"),
        ("1,-9007199254740993.0,no,x", "column 'height': expected float that fits 64 bits (or read it as str), found"),
        ("1,2,perhaps,x", "column 'smoker': expected one of 'no', 'yes', found 'perhaps'"),
        ("1,2,,x", "column 'smoker' is missing. What stands for it?"),
        ("1,2,no", "expected 4 fields, found 3"),
        (b"1,2,no,\xff", "not UTF-8"),
        ('1,2,no,"x"y', "not CSV ("),
        ('1,2,no,"x', "not CSV ("),
    ],
)
def test_a_damaged_row_is_one_clear_error_or_skipped(tmp_path, row, message):
    row = row if isinstance(row, bytes) else row.encode()
    path = write(tmp_path, HEADER.encode() + row + b"\n")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (quotes and brackets: compared as text)
        read_csv(path, COLUMNS)
    assert str(caught.value).startswith("a.csv: line 3, offset 32: " + message)
    skipped = Skipped()
    assert len(read_csv(path, COLUMNS, skipped=skipped)["age"]) == 1
    assert skipped.messages == [str(caught.value)]


def test_reading_goes_on_after_a_damaged_row(tmp_path):
    path = write(tmp_path, HEADER + '1,2,no,"x"y\nbad\n5,6,yes,z\n')
    skipped = Skipped()
    assert read_csv(path, COLUMNS, skipped=skipped)["age"].tolist() == [1, 5]
    assert ["line 3" in skipped.messages[0], "line 4" in skipped.messages[1]] == [True, True]


@pytest.mark.parametrize(
    ("text", "columns", "options", "message"),
    [
        ("", {"a": int}, {}, r"a.csv: expected one column 'a', found 0 in \[\]"),
        ("b\n1\n", {"a": int}, {}, r"a.csv: line 1, offset 0: expected one column 'a', found 0 in \['b'\]"),
        ("a,a\n1,2\n", {"a": int}, {}, r"expected one column 'a', found 2 in"),
        ("a\n", {"a": int}, {}, r"a.csv: expected rows under the line of names, found none"),
        ("a\nx\n", {"a": int}, {"skipped": Skipped()}, r"found none and 1 damaged ones"),
        ("a\n1\n", {}, {}, r"read_csv: expected at least one column, such as"),
        ("a\n1\n", {"a": bool}, {}, r"read_csv: column 'a' is int, float, str or a tuple of different names"),
        ("a\n1\n", {"a": ("x", "x")}, {}, r"read_csv: column 'a' is int, float"),
        ("a\n1\n", {"a": int}, {"missing": {"a": "x"}}, r"missing fields of 'a' .* cannot become 'x'"),
        ("a\n1\n", {"a": ("x", "y")}, {"missing": {"a": "z"}}, r"missing fields of 'a' .* cannot become 'z'"),
        ("a\n1\n", {"a": int}, {"missing": {"b": 1}}, r"missing fields of 'b' \(not among the columns\)"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, text, columns, options, message):
    with pytest.raises(ValueError, match=message):
        read_csv(write(tmp_path, text), columns, **options)
