"""Checkpoints that something happened to: each is found out, and the one before it is used."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import orbax.checkpoint as ocp
import pytest

from jnn.train.checkpoint import Checkpoints, CorruptCheckpoint
from jnn.train.checkpoint._write import _WithoutLateAnswers
from tests.train.checkpoint.faults import SIDE, filled, is_step, records, restored, state


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the steps 10 and 20, to be copied."""
    return filled(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def files_of(step_folder):
    return sorted(path for path in step_folder.rglob("*") if path.is_file())


def program(what, folder, *more, **options):
    command = [sys.executable, "-m", "tests.train.checkpoint.faults", what, str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


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


def test_what_a_killed_save_left_is_set_aside(folder):
    (folder / "30.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    lines = []
    assert is_step(restored(folder, lines), 20)
    assert "the save was not finished; moved to" in lines[0]
    assert (folder / "damaged" / "30.orbax-checkpoint-tmp" / "state").is_dir()


def aside(folder, *names):
    """Folders that are in `damaged` already."""
    for name in names:
        (folder / "damaged" / name / "state").mkdir(parents=True)


def in_damaged(folder):
    return sorted(path.name for path in (folder / "damaged").iterdir())


def test_a_half_goes_when_a_whole_one_has_come_as_far(folder):
    """10 and 20 are whole: what is as old is deleted, wherever it is, and what is newer is set aside."""
    aside(folder, "10.orbax-checkpoint-tmp", "20.orbax-checkpoint-tmp-2", "30.orbax-checkpoint-tmp")
    for step in (20, 40):
        (folder / f"{step}.orbax-checkpoint-tmp").mkdir()
    lines = []
    assert is_step(restored(folder, lines), 20)
    assert in_damaged(folder) == ["30.orbax-checkpoint-tmp", "40.orbax-checkpoint-tmp"]
    assert sorted(path.name for path in folder.iterdir()) == ["10", "20", "damaged", "lock"]
    assert lines == [
        "checkpoint 20.orbax-checkpoint-tmp: the save was not finished; deleted",
        "checkpoint 40.orbax-checkpoint-tmp: the save was not finished; "
        f"moved to {folder / 'damaged' / '40.orbax-checkpoint-tmp'}",
        "checkpoint 10.orbax-checkpoint-tmp, set aside before: deleted",
        "checkpoint 20.orbax-checkpoint-tmp-2, set aside before: deleted",
    ]


def test_the_newest_three_of_each_kind_stay(folder):
    """By step and then by name; what nobody here has put there stays too."""
    aside(folder, "5", "7", "7-2", "7-10", "notes", *(f"{step}.orbax-checkpoint-tmp" for step in (30, 40, 50, 100)))
    assert is_step(restored(folder, lines := []), 20)
    halves = [f"{step}.orbax-checkpoint-tmp" for step in (100, 40, 50)]
    assert in_damaged(folder) == sorted([*halves, "7", "7-10", "7-2", "notes"])
    assert len(lines) == 2


def test_a_run_that_is_always_killed_in_its_first_save_fills_no_disk(tmp_path):
    for _ in range(6):
        (tmp_path / "0.orbax-checkpoint-tmp").mkdir()
        assert restored(tmp_path) is None
    assert len(in_damaged(tmp_path)) == 3


def test_what_cannot_be_deleted_stops_nobody(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(f"not {path.name}")

    aside(folder, "10.orbax-checkpoint-tmp")
    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert is_step(restored(folder, lines := []), 20)
    assert lines == [
        "checkpoint 10.orbax-checkpoint-tmp, set aside before: it could not be deleted: not 10.orbax-checkpoint-tmp"
    ]


def test_a_second_run_is_refused(tmp_path):
    with Checkpoints(tmp_path) as first:
        for _ in range(2):
            with pytest.raises(BlockingIOError, match=r"in use by this very process.*close\(\)"):
                Checkpoints(tmp_path)
        first.save(state(10), records(10))
    with Checkpoints(tmp_path) as second:
        assert is_step(second.restore(state(0)), 10)


def test_the_lock_ends_with_the_process_though_a_child_lives(tmp_path):
    holder = program("hold", tmp_path)
    parent, child = map(int, holder.stdout.readline().split())
    with pytest.raises(BlockingIOError, match=rf"in use by process {parent}\."):
        Checkpoints(tmp_path)
    holder.kill()
    holder.wait()
    try:
        Checkpoints(tmp_path).close()
        os.kill(child, 0)  # it does live
    finally:
        os.kill(child, signal.SIGKILL)
        holder.communicate()


def test_a_full_disk(tmp_path):
    """A file may have 1 MB: the save fails with one clear error, the one before it is there, and the next succeeds."""
    process = program("fail", tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert not {"Traceback", "Error"} & set(err.replace(":", " ").split())  # of the threads that it failed in
    told = f"could not write step 20 to {tmp_path}: File too large. Make room there; the steps [10] are there"
    assert out == f"OSError 27 Checkpoints: {told}, as they were.\nafter the failure: 10\n"
    lines = []
    assert is_step(restored(tmp_path, lines, SIDE), 30, SIDE)


UNREADABLE = {
    "not merged": (
        lambda step: (step / "state" / "manifest.ocdbt").unlink(),
        "9 of its arrays are missing, step among them",
    ),
    "no data": (lambda step: shutil.rmtree(step / "state" / "ocdbt.process_0"), "its arrays cannot be read"),
    "no manifest": (lambda step: shutil.rmtree(step / "manifest"), "its manifest is missing"),
    "another's": (lambda step: shutil.copytree(step.parent / "20", step, dirs_exist_ok=True), "is another one"),
    "nothing": (shutil.rmtree, "No such file"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_save_that_cannot_be_read_is_no_save(folder, monkeypatch, kind):
    """Orbax has said that it is written."""
    harm, told = UNREADABLE[kind]
    written = ocp.CheckpointManager.wait_until_finished
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(state(30, 64), records(30))  # its arrays lie in files of their own
        monkeypatch.setattr(
            ocp.CheckpointManager, "wait_until_finished", lambda self: (written(self), harm(folder / "30"))
        )
        with pytest.raises(OSError, match=rf"could not write step 30 to .*{told}.*; the steps \[20\] are there"):
            checkpoints.wait()


def test_only_what_is_called_in_vain_is_hidden():
    """The hook tells Orbax's closed loop from a program's own by where the error begins."""
    told = []
    hook, loop = _WithoutLateAnswers(told.append), asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed") as caught:
        loop.call_soon_threadsafe(print)
    error = caught.value
    mine = SimpleNamespace(exc_value=error, exc_traceback=error.__traceback__)
    hook(mine)
    hook(SimpleNamespace(exc_value=error, exc_traceback=error.__traceback__.tb_next))
    assert told == [mine]


def test_a_read_only_folder(folder):
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    out = finished(program("read-only", folder))
    folder.chmod(0o755)
    assert "restored 20" in out
    assert f"OSError 13 Checkpoints: could not write step 30 to {folder}: Permission denied. Get the permission" in out


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Checkpoints(tmp_path / "file" / "run")


def test_killed_while_saving(tmp_path):
    """At random moments; what is found is whole, and not older than the last save but one that was begun."""
    rng = random.Random(0)
    reached = 0
    for _ in range(3):
        process = program("save-on", tmp_path)
        begun = [int(process.stdout.readline()) for _ in range(2)]
        time.sleep(rng.random() / 2)
        process.kill()
        out, _ = process.communicate()
        begun += map(int, out.split())
        lines = []
        saved = restored(tmp_path, lines, SIDE)
        step = int(saved.state.step)
        assert is_step(saved, step, SIDE)
        assert step >= max(begun[-2], reached)
        assert all("the save was not finished" in line or "set aside before: deleted" in line for line in lines)
        reached = step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "devices"), [("one", 1), ("prime", 1), ("many", 1), ("rows", 2), ("rows", 8), ("columns", 8)]
)
def test_restoring_needs_little_more_memory_than_the_state(tmp_path, kind, devices):
    """One array, one whose axes hardly divide, a hundred; sharded: by what the process ever held."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    finished(program("large", tmp_path, kind, env=environment))
    out = finished(program("measure", tmp_path, kind, env=environment))
    assert 1 <= float(out) < 1.3
