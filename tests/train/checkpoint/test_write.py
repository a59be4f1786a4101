"""A save that fails is one clear error, or a killed process; what was there before it is whole."""

import asyncio
import random
import shutil
import time
from types import SimpleNamespace

import orbax.checkpoint as ocp
import pytest

from jnn.train.checkpoint import Checkpoints
from jnn.train.checkpoint._write import _WithoutLateAnswers
from tests.train.checkpoint import harmed
from tests.train.checkpoint.faults import SIDE, is_step, records, restored, state
from tests.train.checkpoint.harmed import finished, program

whole, folder = harmed.whole, harmed.folder


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
