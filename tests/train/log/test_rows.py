"""Rows in a file: whole, each once, whatever happened to the process that wrote them."""

import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest

from jnn.train.log import rows
from jnn.train.log.rows import RowLog, read_rows, read_status

ROWS = [{"step": 5 * i, "train/loss": 1 / i, "val/loss": 2.0} for i in range(1, 5)]


def write(folder, rows, **options):
    with RowLog(folder, **options) as log:
        for row in rows:
            log(row)
    return folder / "metrics.jsonl"


def test_rows_are_read_as_they_were_written(tmp_path):
    assert read_rows(write(tmp_path / "new" / "folder", ROWS)) == ROWS


def test_values_that_are_not_finite_are_kept(tmp_path):
    (row,) = read_rows(write(tmp_path, [{"step": 1, "a": math.nan, "b": math.inf}]))
    assert math.isnan(row["a"])
    assert row["b"] == math.inf


@pytest.mark.parametrize("resumed", range(4))
@pytest.mark.parametrize("replayed", [True, False])
def test_a_resumed_run_has_each_row_once(tmp_path, resumed, replayed):
    path = write(tmp_path, [*ROWS[:resumed], *({**row, "lost": 1.0} for row in ROWS[resumed:])])
    assert read_rows(write(tmp_path, ROWS if replayed else ROWS[resumed:])) == ROWS
    assert read_rows(path) == ROWS


def test_rows_after_the_one_resumed_at_are_cut_with_its_first_row(tmp_path):
    write(tmp_path, ROWS)
    assert read_rows(write(tmp_path, [ROWS[1]])) == ROWS[:2]


def test_a_run_that_goes_back_is_cut_as_well(tmp_path):
    assert read_rows(write(tmp_path, [*ROWS, {"step": 7, "train/loss": 9.0}])) == [
        ROWS[0],
        {"step": 7, "train/loss": 9.0},
    ]


def test_every_torn_end_is_dropped_and_the_rest_read(tmp_path):
    whole = write(tmp_path / "whole", ROWS).read_bytes()
    for size in range(len(whole)):
        path = tmp_path / "torn.jsonl"
        path.write_bytes(whole[:size])
        assert read_rows(path) == ROWS[: whole[:size].count(b"\n")]


def test_a_run_goes_on_behind_a_torn_end(tmp_path):
    path = write(tmp_path, ROWS)
    path.write_bytes(path.read_bytes()[:-7])
    RowLog(tmp_path).__exit__(None, None, None)
    assert path.read_bytes().endswith(b"\n")
    assert read_rows(write(tmp_path, ROWS[3:])) == ROWS


def test_what_a_killed_process_wrote_is_there(tmp_path):
    code = (
        "import os, signal, sys; from jnn.train.log.rows import RowLog\n"
        f"with RowLog({str(tmp_path)!r}, steps=9) as log:\n"
        '    log({"step": 1, "train/loss": 0.5}); os.kill(os.getpid(), signal.SIGKILL)'
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1, "train/loss": 0.5}]
    assert read_status(tmp_path / "status.json") == {"state": "running", "steps": 9, "note": ""}


@pytest.mark.parametrize("line", ["{", "[]", "3", "{}", '{"step": "1"}', '{"step": 1, "x": null}', "\0\0", ""])
def test_a_damaged_line_is_named(tmp_path, line):
    path = write(tmp_path, ROWS[:2])
    path.write_text(path.read_text() + line + "\n" + json.dumps(ROWS[2]) + "\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl: line 3 is not a row .* move it away"):
        read_rows(path)
    with pytest.raises(ValueError, match="line 3"):
        RowLog(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"train/loss": 1.0}, "needs a number 'step', found {'train/loss': 1.0}"),
        ({"step": 9, "x": np.float32(1)}, "'x', a float32. Convert: float"),
        ({"step": 9, "x": None}, "'x', a NoneType"),
        ({"step": float("nan")}, "expected a finite step, found nan"),
    ],
)
def test_a_bad_row_is_refused_and_cuts_nothing(tmp_path, row, message):
    path = write(tmp_path, ROWS)
    with RowLog(tmp_path) as log, pytest.raises(ValueError, match=message):
        log(row)
    assert read_rows(path) == ROWS


@pytest.mark.parametrize(
    ("error", "state", "note"),
    [
        (None, "finished", ""),
        (KeyboardInterrupt(), "stopped", ""),
        (SystemExit("ended"), "stopped", "ended"),
        (ValueError("why"), "failed", "ValueError: why"),
    ],
)
def test_the_status_says_how_a_run_ended(tmp_path, error, state, note):
    log = RowLog(tmp_path, steps=3)
    with log:
        assert read_status(tmp_path / "status.json")["state"] == "running"
        log.__exit__(type(error) if error else None, error, None)
        assert read_status(tmp_path / "status.json") == {"state": state, "steps": 3, "note": note}


@pytest.mark.parametrize("text", ["", "[]", '{"state": "running"}', '{"state": "a", "steps": NaN, "note": ""}'])
def test_a_damaged_status_is_named(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(ValueError, match=r"status.json: expected .* Delete the file"):
        read_status(tmp_path / "status.json")


def test_an_error_is_not_hidden_by_a_status_that_cannot_be_written(tmp_path, monkeypatch):
    log = RowLog(tmp_path)
    monkeypatch.setattr(rows, "write_whole", lambda path, text: (_ for _ in ()).throw(OSError("full")))
    log.__exit__(ValueError, ValueError("why"), None)
    with pytest.raises(OSError, match="full"):
        log.__exit__(None, None, None)
