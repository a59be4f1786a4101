"""What the live page is told from look to look: all that is new and nothing else, whatever happens to files."""

import json
import math
import os
import random

import pytest

from jnn.train.log import _growing as growing
from jnn.train.log import _snapshot as snapshot
from jnn.train.log._snapshot import Runs
from tests.train.log.told import Reader, write


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
