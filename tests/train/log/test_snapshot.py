"""What the live page is told of a folder of runs."""

import json
import math
import os
import random

import pytest

from jnn.train.log import _growing as growing
from jnn.train.log import _snapshot as snapshot
from jnn.train.log._snapshot import Runs
from jnn.train.log.rows import RowLog

ROWS = [{"step": i, "train/loss": 1 / i} for i in range(1, 4)]


def write(folder, rows=ROWS, age=0.0):
    with RowLog(folder, steps=9) as log:
        for row in rows:
            log(row)
    if age:
        path = folder / "metrics.jsonl"
        os.utime(path, (path.stat().st_mtime - age,) * 2)


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


class Reader:
    """Somebody who keeps what was told, as the page does."""

    def __init__(self, runs):
        self.runs, self.token, self.curves, self.last, self.names = runs, "", {}, {}, []

    def ask(self):
        """The answer, as it goes over the wire."""
        answer = json.loads(json.dumps(self.runs.since(self.token), allow_nan=False))
        self.token, self.names = answer["token"], answer.get("names", self.names)
        for run in answer["runs"]:
            before = self.curves.get(run["name"], {})
            kept = {metric: before.get(metric, []) for metric in run["last"]}
            for metric, (start, stretches) in run["curves"].items():
                kept[metric] = kept[metric][:start] + stretches
            self.curves[run["name"]], self.last[run["name"]] = kept, run["last"]
        return answer


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


ROW = b'{"step": 4, "train/loss": '
ODD_ROWS = {
    "not a number": ROW + b'"a"}\n',
    "400 digits": ROW + b"9" * 400 + b"}\n",
    "5000 digits": ROW + b"9" * 5000 + b"}\n",
    "a step of 400 digits": b'{"step": ' + b"9" * 400 + b"}\n",
    "a step that is not finite": b'{"step": NaN}\n',
    "deep": ROW + b"[" * 100_000 + b"\n",
    "not UTF-8": b"\xff\xfe\n",
    "zeros": b"\0" * 4096 + b"\n",
    "one endless line": b"9" * (growing.LONGEST + 1),
    "an endless line that ends": b" " * (growing.LONGEST + 1) + b"\n",
}
ODD_STATUS = {
    "empty": b"",
    "a state that is NaN": b'{"state": NaN, "steps": 3, "note": ""}',
    "a state nobody knows": b'{"state": "flying", "steps": 3, "note": ""}',
    "a list for a state": b'{"state": [], "steps": 3, "note": ""}',
    "400 digits": b'{"state": "running", "steps": ' + b"9" * 400 + b', "note": ""}',
    "infinite steps": b'{"state": "running", "steps": Infinity, "note": ""}',
    "a note that is NaN": b'{"state": "running", "steps": 3, "note": NaN}',
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff",
}


def odd_files(folder):
    """Folders of runs that are wrong, each in one way, by what is wrong."""
    for name, line in ODD_ROWS.items():
        write(folder / f"row {name}")
        with (folder / f"row {name}" / "metrics.jsonl").open("ab") as file:
            file.write(line)
    for name, text in ODD_STATUS.items():
        write(folder / f"status {name}")
        (folder / f"status {name}" / "status.json").write_bytes(text)
    for name in ("metrics.jsonl", "status.json"):
        write(folder / f"folder {name}")
        (folder / f"folder {name}" / name).unlink()
        (folder / f"folder {name}" / name).mkdir()
    write(folder / "pipe")
    (folder / "pipe" / "metrics.jsonl").unlink()
    os.mkfifo(folder / "pipe" / "metrics.jsonl")
    return sorted(path.name for path in folder.iterdir())


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


# ---- from look to look


def test_what_has_not_changed_is_neither_read_nor_told(tmp_path, monkeypatch):
    for name in "abc":
        write(tmp_path / name)
    reader = Reader(Runs(tmp_path, 300.0))
    assert len(reader.ask()["runs"]) == 3
    opened = []
    monkeypatch.setattr(growing, "row_of", lambda line, where: opened.append(where) or json.loads(line))
    answer = reader.ask()
    assert answer.keys() == {"now", "token", "whole", "more", "runs"}
    assert (answer["runs"], answer["whole"], opened) == ([], False, [])
    write(tmp_path / "b", [{"step": 4, "train/loss": 0.25, "new": 1.0}])
    (told,) = reader.ask()["runs"]
    assert (told["name"], told["step"]) == ("b", 4)
    assert told["curves"] == {"train/loss": [3, [[[4, 0.25]]]], "new": [0, [[[4, 1.0]]]]}
    assert len(opened) == 1  # the new line alone
    assert reader.ask()["runs"] == []


def test_runs_that_come_and_go(tmp_path):
    write(tmp_path / "b")
    runs = Runs(tmp_path, 300.0)
    reader = Reader(runs)
    assert reader.ask()["names"] == ["b"]
    write(tmp_path / "a")
    answer = reader.ask()
    assert (answer["names"], [run["name"] for run in answer["runs"]]) == (["a", "b"], ["a"])
    (tmp_path / "b" / "metrics.jsonl").unlink()
    answer = reader.ask()
    assert (answer["names"], answer["runs"]) == (["a"], [])


@pytest.mark.parametrize("token", ["", "0", "ffffffff.3", "x.y", "...."])
def test_a_token_of_somebody_else_is_answered_as_none(tmp_path, token):
    write(tmp_path)
    answer = Runs(tmp_path, 300.0).since(token)
    assert answer["whole"]
    assert len(answer["runs"]) == 1


def test_a_reader_who_slept_is_told_all_that_came_since(tmp_path):
    write(tmp_path)
    runs = Runs(tmp_path, 300.0)
    often, seldom = Reader(runs), Reader(runs)
    for reader in (often, seldom):
        reader.ask()
    for step in range(4, 9):
        write(tmp_path, [{"step": step, "train/loss": 1 / step}])
        often.ask()
    seldom.ask()
    assert often.curves == seldom.curves
    assert often.last == seldom.last


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_files_the_reader_knows_what_a_new_one_would(tmp_path, seed, monkeypatch):
    """Rows are added, replaced and cut, files damaged, mended, taken away; some curves are thinned meanwhile."""
    draw = random.Random(seed)
    monkeypatch.setattr(growing, "Curve", lambda: curve(most=8))
    curve = growing.Curve
    runs = Runs(tmp_path, 300.0)
    reader, lazy = Reader(runs), Reader(runs)
    steps = {"a": 0, "b": 0}
    for _ in range(40):
        name = draw.choice("ab")
        path = tmp_path / name / "metrics.jsonl"
        act = draw.choice(["add", "add", "add", "back", "tear", "remove", "rewrite"])
        if act in ("add", "back") or not path.exists():
            steps[name] = max(0, steps[name] - draw.randrange(6)) if act == "back" else steps[name]
            rows = [{"step": steps[name] + i, "x": draw.gauss(0, 1)} for i in range(1, draw.randrange(2, 9))]
            rows[-1] |= draw.choice([{}, {"x": math.nan}, {"y": draw.random()}])
            steps[name] = rows[-1]["step"]
            write(path.parent, rows)
        elif act == "tear":
            path.write_bytes(path.read_bytes()[:-3])
        elif act == "remove":
            path.unlink()
            steps[name] = 0
        else:  # a row in the middle is another, and the file no shorter
            path.write_bytes(path.read_bytes().replace(b'"x": 0', b'"x": 1', 1))
        os.utime(path, (draw.random() * 1e9,) * 2) if path.exists() else None  # whatever the clock does
        reader.ask()
        if draw.random() < 0.2:
            lazy.ask()
        fresh = Reader(Runs(tmp_path, 300.0))
        fresh.ask()
        assert reader.names == fresh.names
        for name in fresh.names:
            assert reader.last[name] == fresh.last[name]
            assert reader.curves[name] == fresh.curves[name]
    lazy.ask()
    assert {name: lazy.curves[name] for name in lazy.names} == {name: reader.curves[name] for name in reader.names}


def test_a_long_file_is_read_in_several_looks(tmp_path, monkeypatch):
    write(tmp_path / "a", [{"step": i, "x": 1.0} for i in range(50)])
    write(tmp_path / "b")
    monkeypatch.setattr(snapshot, "SECONDS", -1.0)  # over at once: a line of one run a look
    reader = Reader(Runs(tmp_path, 300.0))
    answer = reader.ask()
    assert [run["state"] for run in answer["runs"]] == ["reading", "reading"]
    assert answer["more"]
    monkeypatch.setattr(snapshot, "SECONDS", 60.0)
    answer = reader.ask()
    assert [(run["state"], run["step"]) for run in answer["runs"]] == [("finished", 49), ("finished", 3)]
    assert not answer["more"]
