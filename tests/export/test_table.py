"""The table of exports is true: every row leaves as it says, or does not for the reason that it says."""

import json
import os
import subprocess

import pytest

from docs.exports_table import EXPORTS, FORMATS, table
from tests.export.formats import answer, assert_leaves, expected
from tests.table import BLOCKS

TABLE = json.loads(EXPORTS.read_text())
FEW = {"linear", "layer_norm", "max_pool", "embed", "rnn-gru"}  # of the default suite
OWN = {"onnx": ["gcn", "long_conv", "experts"], "litert": ["gcn", "long_conv", "fp8_linear"]}  # by terms of others
NEEDS = {"stablehlo": "flatbuffers", "torch": "torch"}


def cases():
    for row in BLOCKS:
        for form in NEEDS:
            slow = () if row.name in FEW else pytest.mark.slow
            yield pytest.param(row, form, id=f"{row.name}-{form}", marks=slow)


@pytest.mark.parametrize(("row", "form"), [*cases()])
def test_a_row_leaves_as_the_table_says(row, form, tmp_path):
    pytest.importorskip(NEEDS[form])
    if TABLE[row.name][form] == "yes":
        assert_leaves(row, form, tmp_path)
    else:
        assert answer(row, form) == TABLE[row.name][form]
    if form == [*NEEDS][-1]:
        expected.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "litert"])
def test_some_rows_leave_so_in_environments_of_their_own(form):
    python = os.environ.get(f"JNN_{form.upper()}_PYTHON")
    if python is None:
        pytest.skip(f"JNN_{form.upper()}_PYTHON names no Python of an environment with its converter (docs/export.md)")
    rows = ["--rows", *sorted(FEW), *OWN[form]]
    command = [python, "-m", "tests.export.formats", form, "--check", *rows]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXPORTS.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_every_row_of_the_law_table_is_in_it():
    assert [*TABLE] == [row.name for row in BLOCKS]
    assert all(form in found for found in TABLE.values() for form in FORMATS)


def test_the_page_has_every_row():
    assert [name for name in TABLE if f"`{name}`" not in table()] == []
