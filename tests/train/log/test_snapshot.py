"""What the live page is told of a folder of runs."""

import json
import math
import os
import random

import pytest

from jnn.train.log.rows import RowLog
from jnn.train.log.snapshot import POINTS, snapshot, thin

ROWS = [{"step": i, "train/loss": 1 / i} for i in range(1, 4)]


def write(folder, rows=ROWS, age=0.0):
    with RowLog(folder, steps=9) as log:
        for row in rows:
            log(row)
    if age:
        path = folder / "metrics.jsonl"
        os.utime(path, (path.stat().st_mtime - age,) * 2)


def only(folder, stalled_after=300.0):
    (run,) = snapshot(folder, stalled_after)["runs"]
    return run


def test_an_empty_folder_has_no_runs(tmp_path):
    assert snapshot(tmp_path, 1.0)["runs"] == []


def test_a_run(tmp_path):
    write(tmp_path / "digits")
    run = only(tmp_path / "digits")
    assert run["changed"] == (tmp_path / "digits/metrics.jsonl").stat().st_mtime
    assert {name: run[name] for name in run if name != "changed"} == {
        "name": "digits",
        "state": "finished",
        "note": "",
        "step": 3,
        "steps": 9,
        "last": {"train/loss": 1 / 3},
        "curves": {"train/loss": [(1, 1.0), (2, 0.5), (3, 1 / 3)]},
    }


def test_runs_are_found_two_folders_down_and_no_further(tmp_path):
    for name in ["", "b/mlp", "a", "b/mlp/deep"]:
        write(tmp_path / name)
    assert [run["name"] for run in snapshot(tmp_path, 1.0)["runs"]] == ["a", "b/mlp", tmp_path.name]


@pytest.mark.parametrize(("state", "age", "expected"), [
    ("running", 0, "running"), ("running", 400, "stalled"), ("finished", 400, "finished"), ("failed", 400, "failed"),
])  # fmt: skip
def test_only_a_running_run_stalls(tmp_path, state, age, expected):
    write(tmp_path, age=age)
    (tmp_path / "status.json").write_text(json.dumps({"state": state, "steps": None, "note": ""}))
    assert only(tmp_path)["state"] == expected


def test_a_run_without_a_status_is_told_by_its_age(tmp_path):
    write(tmp_path, age=10.0)
    (tmp_path / "status.json").unlink()
    assert only(tmp_path, 100.0)["state"] == "running"
    assert only(tmp_path, 5.0)["state"] == "stalled"


@pytest.mark.parametrize("name", ["metrics.jsonl", "status.json"])
def test_a_damaged_run_says_so_and_hides_no_other(tmp_path, name):
    write(tmp_path / "a")
    write(tmp_path / "b")
    (tmp_path / "a" / name).write_text("no JSON\n")
    bad, good = snapshot(tmp_path, 300.0)["runs"]
    assert (bad["state"], good["state"]) == ("unreadable", "finished")
    assert name in bad["note"]


def test_values_that_json_lacks_are_text_and_in_no_curve(tmp_path):
    write(tmp_path, [*ROWS, {"step": 4, "train/loss": math.nan, "a": -math.inf}])
    run = only(tmp_path)
    assert run["last"] == {"train/loss": "nan", "a": "-inf"}
    assert len(run["curves"]["train/loss"]) == 3
    assert run["curves"]["a"] == []
    json.dumps(run, allow_nan=False)


def test_new_rows_are_seen(tmp_path):
    write(tmp_path)
    assert only(tmp_path)["step"] == 3
    write(tmp_path, [{"step": 4, "train/loss": 0.25}])
    assert only(tmp_path)["step"] == 4


@pytest.mark.parametrize("count", [1, POINTS, POINTS + 1, 12345])
def test_thinned_curves_keep_their_ends_order_and_extremes(count):
    draw = random.Random(count)
    points = [(i, draw.gauss(0, 1)) for i in range(count)]
    kept = thin(points)
    assert len(kept) <= POINTS + 2
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert kept[-1] == points[-1]
    for extreme in (min, max):
        assert extreme(kept, key=lambda p: p[1]) == extreme(points, key=lambda p: p[1])
