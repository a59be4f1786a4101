"""Whose a folder of checkpoints is: one run's at a time; somebody else's is left alone; some cannot be made."""

import os
import shutil
import signal

import pytest

from jnn.train.checkpoint import Checkpoints
from tests.train.checkpoint.faults import is_step, records, state
from tests.train.checkpoint.harmed import program


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


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Checkpoints(tmp_path / "file" / "run")


@pytest.mark.parametrize("name", ["0", "2024"])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, name):
    """Named as a step is: Orbax would delete it in time, or take it for the newest."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=rf"{name} has the name of a step and is no checkpoint: it holds notes.txt"):
        Checkpoints(tmp_path)
    shutil.move(tmp_path / name, tmp_path / "elsewhere")
    Checkpoints(tmp_path).close()  # the one that was refused holds no lock
    shutil.move(tmp_path / "elsewhere", tmp_path / name)
    assert (tmp_path / name / "notes.txt").read_text() == "mine"
