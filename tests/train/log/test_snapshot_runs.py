"""What the live page is told of each run of a folder: its state, its curves, and what is wrong with it."""

import json
import math

import pytest

from jnn.train.log import _growing as growing
from jnn.train.log import _snapshot as snapshot
from jnn.train.log._snapshot import Runs
from tests.train.log.told import ROWS, Reader, odd_files, write


def runs_of(folder, stalled_after=300.0):
    return Runs(folder, stalled_after).since("")["runs"]


def only(folder, stalled_after=300.0):
    (run,) = runs_of(folder, stalled_after)
    return run


def points(run, metric):
    """All points of a curve that is told as a whole."""
    start, stretches = run["curves"][metric]
    assert start == 0
    return [tuple(point) for stretch in stretches for point in stretch]


def test_an_empty_folder_has_no_runs(tmp_path):
    assert runs_of(tmp_path) == []


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
        "curves": {"train/loss": (0, [[(1, 1.0)], [(2, 0.5)], [(3, 1 / 3)]])},
    }


def test_runs_are_found_two_folders_down_and_no_further(tmp_path):
    for name in ["", "b/mlp", "a", "b/mlp/deep"]:
        write(tmp_path / name)
    assert [run["name"] for run in runs_of(tmp_path)] == [tmp_path.name, "a", "b/mlp"]


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


def test_a_run_that_stalls_while_it_is_followed_is_told_once(tmp_path, monkeypatch):
    write(tmp_path)
    (tmp_path / "status.json").unlink()
    reader = Reader(Runs(tmp_path, 100.0))
    assert reader.ask()["runs"][0]["state"] == "running"
    later = snapshot.time.time() + 200.0
    monkeypatch.setattr(snapshot.time, "time", lambda: later)
    (told,) = reader.ask()["runs"]
    assert (told["state"], told["curves"]) == ("stalled", {})
    assert reader.ask()["runs"] == []


def test_whatever_is_wrong_with_a_run_is_said_there_and_hides_no_other(tmp_path):
    odd = odd_files(tmp_path)
    for name in ("!", "~"):
        write(tmp_path / name)
    reader = Reader(Runs(tmp_path, 300.0))
    told = {run["name"]: run for run in reader.ask()["runs"]}
    assert [*told] == sorted([*odd, "!", "~"])
    for name in ("!", "~"):
        assert (told[name]["state"], told[name]["note"], told[name]["step"]) == ("finished", "", 3)
    for name in odd:
        assert told[name]["state"] == "unreadable", name
        assert 0 < len(told[name]["note"]) <= snapshot.SHORT
        place = "status" if name.startswith("status") or "status" in name else "metrics"
        assert place in told[name]["note"], (name, told[name]["note"])
        assert told[name]["step"] == (0 if "metrics.jsonl" in name or name == "pipe" else 3)  # what was whole is shown
    assert reader.ask()["runs"] == []  # and nothing is read again


def test_a_line_that_is_being_written_is_no_fault(tmp_path):
    write(tmp_path)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "train')
    assert (only(tmp_path)["state"], only(tmp_path)["step"]) == ("finished", 3)


def test_a_run_that_is_mended_is_shown_again(tmp_path):
    write(tmp_path)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    reader = Reader(Runs(tmp_path, 300.0))
    (tmp_path / "metrics.jsonl").write_bytes(whole + b"{}\n")
    assert reader.ask()["runs"][0]["state"] == "unreadable"
    (tmp_path / "metrics.jsonl").write_bytes(whole)
    assert reader.ask()["runs"][0]["state"] == "finished"


def test_values_that_json_lacks_are_text_and_in_no_curve(tmp_path):
    write(tmp_path, [*ROWS, {"step": 4, "train/loss": math.nan, "a": -math.inf}])
    run = only(tmp_path)
    assert run["last"] == {"train/loss": "nan", "a": "-inf"}
    assert len(points(run, "train/loss")) == 3
    assert points(run, "a") == []


def test_metrics_beyond_a_thousand_are_counted(tmp_path):
    write(tmp_path, [{"step": 1} | {f"m{i}": 0.5 for i in range(growing.MOST + 7)}])
    run = only(tmp_path)
    assert len(run["last"]) == len(run["curves"]) == growing.MOST
    assert run["note"] == "7 of its metrics are not shown."
