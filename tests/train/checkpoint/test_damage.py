"""Checkpoints that were damaged: each is found out, and the one before it is used."""

import json
import os
import random
import shutil

import pytest

from jnn.train.checkpoint import Checkpoints, CorruptCheckpoint, OtherFormat, read
from jnn.train.checkpoint._manifest import seal, unseal
from tests.train.checkpoint import harmed
from tests.train.checkpoint.faults import is_step, records, restored, state

whole, folder = harmed.whole, harmed.folder


def files_of(step_folder):
    return sorted(path for path in step_folder.rglob("*") if path.is_file())


def test_a_byte_flipped_anywhere_is_found_or_does_no_harm(whole, tmp_path):
    """Every file in turn, at 100 random places and more."""
    rng, places = random.Random(0), 0
    names = [path.relative_to(whole) for path in files_of(whole / "20")]
    found = set()
    while places < 100:
        for name in names:
            folder = shutil.copytree(whole, tmp_path / str(places))
            data = bytearray((folder / name).read_bytes())
            at = rng.randrange(len(data))
            data[at] ^= 1 << rng.randrange(8)
            (folder / name).write_bytes(data)
            lines = []
            saved = restored(folder, lines)
            assert is_step(saved, 10 if lines else 20), (name, at, lines)
            found |= {name} if lines else set()
            places += 1
    assert len(found) >= 3  # the manifest and two kinds of array files


@pytest.mark.parametrize("how", ["truncated", "emptied", "zeroed", "deleted"])
def test_a_file_that_is_not_whole(whole, tmp_path, how):
    for i, name in enumerate(path.relative_to(whole) for path in files_of(whole / "20")):
        folder = shutil.copytree(whole, tmp_path / str(i))
        path = folder / name
        data = path.read_bytes()
        path.write_bytes({"truncated": data[: len(data) // 2], "zeroed": bytes(len(data))}.get(how, b""))
        if how == "deleted":
            path.unlink()
        lines = []
        saved = restored(folder, lines)
        assert is_step(saved, 10 if lines else 20), (name, lines)
        if "manifest/metadata" in str(name):
            assert "checkpoint 20" in lines[0]


def test_a_damaged_one_is_moved_and_the_run_goes_on(folder):
    next(path for path in files_of(folder / "20") if "manifest/metadata" in str(path)).unlink()
    lines = []
    with Checkpoints(folder) as checkpoints:
        assert is_step(checkpoints.restore(state(0), report=lines.append), 10)
        checkpoints.save(state(20), records(20))
        checkpoints.save(state(30), records(30))
    assert lines == [
        f"checkpoint 20 in {folder}: its manifest is missing; moved to {folder / 'damaged' / '20'}",
    ]
    assert is_step(restored(folder), 30)
    assert (folder / "damaged" / "20" / "state").is_dir()


def test_damaged_again_under_another_name(folder):
    for _ in range(2):
        shutil.rmtree(folder / "20" / "manifest")
        lines = []
        assert is_step(restored(folder, lines), 10)
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(state(20), records(20))
    assert sorted(path.name for path in (folder / "damaged").iterdir()) == ["20", "20-2"]


def test_the_report_goes_to_stderr(folder, capsys):
    shutil.rmtree(folder / "20" / "state")
    with Checkpoints(folder) as checkpoints:
        checkpoints.restore(state(0))
    err = capsys.readouterr().err
    assert f"checkpoint 20 in {folder}: its arrays cannot be read" in err


def test_an_empty_newest_step(folder):
    (folder / "30").mkdir()
    lines = []
    assert is_step(restored(folder, lines), 20)
    assert "its folder is empty" in lines[0]


def test_an_empty_newest_step_while_the_folder_is_open(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(state(30), records(30))
        checkpoints.wait()
        (folder / "40").mkdir()
        assert is_step(checkpoints.restore(state(0), report=lambda line: None), 30)
        checkpoints.save(state(40), records(40))
    assert is_step(restored(folder), 40)


def test_a_save_in_the_place_of_a_damaged_step(folder):
    (folder / "30").mkdir()
    with Checkpoints(folder) as checkpoints, pytest.raises(ValueError, match=r"damaged step 30 .*Restore first"):
        checkpoints.save(state(30), records(30))


def test_all_damaged_is_an_error_that_moves_nothing(folder):
    for step in ("10", "20"):
        shutil.rmtree(folder / step / "manifest")
    for _ in range(2):  # the second start must not begin anew
        with pytest.raises(CorruptCheckpoint, match=r"(?s)none of the checkpoints .*checkpoint 20 .*checkpoint 10 "):
            restored(folder)


def test_an_older_damaged_one_stops_nobody(folder):
    """It is not looked at until it is needed, and Orbax's list of steps survives it."""
    for path in files_of(folder / "10"):
        path.write_bytes(b"")
    with Checkpoints(folder) as checkpoints:
        assert is_step(checkpoints.restore(state(0)), 20)
        checkpoints.save(state(30), records(30))
    assert is_step(restored(folder), 30)


def test_the_clock_moved_back(folder):
    """The latest is the one with the highest step, though all its files are the oldest."""
    for path in (folder / "20", *(folder / "20").rglob("*")):
        os.utime(path, (0, 0))
    assert is_step(restored(folder), 20)
    with Checkpoints(folder, keep=1) as checkpoints:
        checkpoints.save(state(30), records(30))
        checkpoints.wait()
        for path in (folder / "30", *(folder / "30").rglob("*")):
            os.utime(path, (0, 0))
        checkpoints.save(state(40), records(40))
    assert is_step(restored(folder), 40)
    assert not (folder / "30").exists()


def of_format(number, step_folder):
    """The manifest as a version with another format would have sealed it."""
    path = step_folder / "manifest" / "metadata"
    path.write_text(json.dumps(seal(unseal(json.loads(path.read_text())) | {"format": number})))


@pytest.mark.parametrize("newest", ["of another format", "damaged"])
def test_one_of_another_format_is_named_and_left_where_it_lies(folder, newest):
    """Nor is the one before it used, from which a run would go on as if the newer one were nothing."""
    of_format(7, folder / ("20" if newest == "of another format" else "10"))
    if newest == "damaged":
        shutil.rmtree(folder / "20" / "state")
    left = lambda: [path for path in files_of(folder) if path.name != "lock"]
    before = left()
    for _ in range(2):
        lines = []
        with pytest.raises(OtherFormat, match=r"checkpoint \d0 in .*: it has format 7, and .* reads format 1"):
            restored(folder, lines)
        assert lines == []
    with pytest.raises(OtherFormat, match=r"checkpoint .*/\d0: it has format 7"):
        read(folder if newest == "of another format" else folder / "10")
    assert left() == before
    if newest == "of another format":
        with (
            Checkpoints(folder) as checkpoints,
            pytest.raises(OtherFormat, match=r"Checkpoints\.save: step 20 in .*format 7"),
        ):
            checkpoints.save(state(20), records(20))


def test_an_older_one_of_another_format_stops_nobody(folder):
    of_format(7, folder / "10")
    with Checkpoints(folder, best=("loss", "min", 1)) as checkpoints:
        assert is_step(checkpoints.restore(state(0)), 20)
        checkpoints.save(state(30), records(30))
    assert is_step(restored(folder), 30)
