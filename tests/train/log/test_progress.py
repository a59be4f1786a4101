"""The progress bar, and several logs as one."""

import json

import pytest

from jnn.train.log import _throughput as throughput
from jnn.train.log import progress
from jnn.train.log.progress import ProgressLog, together
from jnn.train.log.rows import read_rows, read_status

ROWS = [{"step": 5, "train/loss": 0.5, "train/grad_norm": 1.0}, {"step": 10, "train/loss": 0.25, "val/loss": 0.5}]


@pytest.fixture
def paced(monkeypatch):
    """A clock that goes on ten seconds with every row."""

    def clock():
        clock.now += 10.0
        return clock.now

    clock.now = 0.0
    monkeypatch.setattr(progress, "Speed", lambda: throughput.Speed(clock))
    monkeypatch.setenv("COLUMNS", "160")


def shown(capsys, folder, rows=ROWS, **options):
    with ProgressLog(folder, **{"steps": 10} | options) as log:
        for row in rows:
            log(row)
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_line_a_row(tmp_path):
    with ProgressLog(tmp_path / "new" / "folder", steps=10) as log:
        for row in ROWS:
            log(row)
        lines = (tmp_path / "new" / "folder" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == ROWS  # on the disk before the run ends


def test_a_run_that_goes_on_has_each_row_once(tmp_path, capsys):
    for _ in range(2):
        shown(capsys, tmp_path)
    assert read_rows(tmp_path / "metrics.jsonl") == ROWS


def test_how_a_run_ended_is_told(tmp_path):
    with pytest.raises(ZeroDivisionError), ProgressLog(tmp_path, steps=10):
        _ = 1 / 0
    assert read_status(tmp_path / "status.json") == {
        "state": "failed",
        "steps": 10,
        "note": "ZeroDivisionError: division by zero",
    }


def test_the_bar_is_on_standard_error_and_shows_the_numbers(tmp_path, capsys):
    err = shown(capsys, tmp_path, label="[mlp]")
    for part in ["[mlp]", "10/10", "train/loss 0.25", "val/loss 0.5"]:
        assert part in err
    assert "grad_norm" not in err
    assert err.endswith("\n")


def test_speed_examples_share_of_the_peak_and_remaining_time(tmp_path, capsys, paced):
    err = shown(capsys, tmp_path, steps=3610, examples_per_step=256, flops_per_step=3e12, peak_flops=6e12)
    for part in ["0.5 steps/s", "128 examples/s", "MFU 25.0%", "ETA 2:00:00"]:
        assert part in err


@pytest.mark.parametrize("known", [{}, {"flops_per_step": 3e12}, {"peak_flops": 6e12}])
def test_what_is_not_known_is_not_shown(tmp_path, capsys, paced, known):
    err = shown(capsys, tmp_path, **known)
    assert "0.5 steps/s" in err
    assert not any(part in err for part in ["examples/s", "MFU", "ETA"])  # at its last step, nothing remains


def test_a_narrow_terminal_wraps_the_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    err = shown(capsys, tmp_path)
    assert "train/loss 0.25" in err
    assert "val/loss 0.5" in err


@pytest.mark.parametrize("option", ["steps", "examples_per_step", "flops_per_step", "peak_flops"])
def test_numbers_that_are_not_positive_are_refused(tmp_path, option):
    with pytest.raises(ValueError, match=rf"ProgressLog: expected positive numbers, .* found {option}=0"):
        ProgressLog(tmp_path, **{"steps": 10} | {option: 0})


def test_together_keeps_the_order():
    seen = []
    together(lambda row: seen.append(("a", row)), lambda row: seen.append(("b", row)))(ROWS[0])
    assert seen == [("a", ROWS[0]), ("b", ROWS[0])]
