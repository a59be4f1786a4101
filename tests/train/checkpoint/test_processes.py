"""Checkpoints of several processes: what two saved, two and one restore, and damage is seen by both."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jnn.train.checkpoint import Checkpoints
from tests.train.checkpoint.two import restored

ROOT = Path(__file__).parents[3]


def together(module, *arguments, expect=0):
    """Two processes of one device each; whatever happens, none outlives this."""
    job = [sys.executable, "-m", "jnn.launch", "-n", "2", "--devices", "1", "--restarts", "0", "--", sys.executable]
    command = [*job, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-4000:]


def found_by_both(what, out, *folders):
    """What each process found in each folder."""
    out.mkdir()
    together("tests.train.checkpoint.two", what, out, *folders)
    return list(zip(*(json.loads((out / name).read_text()) for name in ("0", "1")), strict=True))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder that two processes saved into, and what they found there."""
    folder = tmp_path_factory.mktemp("two")
    return folder / "run", found_by_both("save", folder / "out", folder / "run")[0]


def test_each_restores_its_shards(saved):
    _, found = saved
    assert found == ({"step": 20, "same": True, "records": {"at": 20}, "lines": []},) * 2


def test_one_process_restores_what_two_saved(saved, tmp_path):
    """On eight devices instead of two."""
    folder = shutil.copytree(saved[0], tmp_path / "run")
    assert restored(folder) == {"step": 20, "same": True, "records": {"at": 20}, "lines": []}


def largest(folder):
    """The file of a process that holds its arrays."""
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip(path, start, stop):
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(255 - byte for byte in data[start:stop]) + data[stop:])


def test_a_flipped_byte_changes_no_value_for_either(saved, tmp_path):
    """In what the second process wrote: it may be one that no array lies in."""
    folders = [shutil.copytree(saved[0], tmp_path / name) for name in ("first", "middle", "last")]
    for folder, part in zip(folders, (0.01, 0.5, 0.99), strict=True):
        path = largest(folder / "20" / "state" / "ocdbt.process_1")
        at = int(path.stat().st_size * part)
        flip(path, at, at + 1)
    for both in found_by_both("restore", tmp_path / "out", *folders):
        assert [found["step"] for found in both] in ([10, 10], [20, 20])
        assert all(found["same"] for found in both)


def test_damage_that_one_process_would_see_is_seen_by_both(saved, tmp_path):
    """Many flipped bytes and a truncated file, in what the second process wrote."""
    flipped, cut = (shutil.copytree(saved[0], tmp_path / name) for name in ("flipped", "cut"))
    path = largest(flipped / "20" / "state" / "ocdbt.process_1")
    data = path.read_bytes()
    flip(path, len(data) // 4, len(data) * 3 // 4)
    path = largest(cut / "20" / "state" / "ocdbt.process_1")
    path.write_bytes(path.read_bytes()[:1000])
    for folder, (first, second) in zip(
        (flipped, cut), found_by_both("restore", tmp_path / "out", flipped, cut), strict=True
    ):
        assert [first["step"], second["step"]] == [10, 10]
        assert first["same"]
        assert second["same"]
        assert second["lines"] == []  # one report is enough
        (line,) = first["lines"]
        assert line.startswith(f"checkpoint 20 in {folder}: ")
        assert line.endswith(f"moved to {folder / 'damaged' / '20'}")


def test_a_folder_that_the_first_cannot_have_is_refused_to_both(tmp_path):
    """One is in use, one cannot be made, and one holds somebody else's."""
    (tmp_path / "file").touch()
    (tmp_path / "mine" / "0").mkdir(parents=True)
    (tmp_path / "mine" / "0" / "notes.txt").touch()
    with Checkpoints(tmp_path / "run"):
        folders = tmp_path / "run", tmp_path / "file" / "run", tmp_path / "mine"
        used, unmade, mine = found_by_both("refused", tmp_path / "out", *folders)
    assert used[0] == used[1]
    assert f"in use by process {os.getpid()}." in used[0]
    assert unmade[0] == unmade[1]
    assert "Not a directory" in unmade[0]
    assert mine[0] == mine[1]
    assert "is no checkpoint: it holds notes.txt" in mine[0]
