"""The progress bar and the JSON lines."""

import json

from jnn.train.logging import ProgressLog

ROWS = [{"step": 5, "train/loss": 0.5, "train/grad_norm": 1.0}, {"step": 10, "train/loss": 0.25, "val/loss": 0.5}]


def test_a_line_a_row(tmp_path):
    with ProgressLog(tmp_path / "new" / "folder", steps=10) as log:
        for row in ROWS:
            log(row)
        lines = (tmp_path / "new" / "folder" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == ROWS  # on the disk before the run ends


def test_a_run_that_goes_on_writes_the_file_anew(tmp_path):
    for _ in range(2):
        with ProgressLog(tmp_path, steps=10) as log:
            log(ROWS[0])
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_the_bar_is_on_standard_error_and_shows_the_numbers(tmp_path, capsys):
    with ProgressLog(tmp_path, steps=10, label="mlp") as log:
        for row in ROWS:
            log(row)
    out, err = capsys.readouterr()
    assert out == ""
    assert "mlp" in err
    assert "10/10" in err
    assert "grad_norm" not in err
