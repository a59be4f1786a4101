"""verify_resume: what resumes passes; what does not is named. The runs below are its subjects."""

import time

import numpy as np
import pytest

from jnn.data import Batches
from jnn.train import Checkpoints, digest, verify_resume
from tests.programs import ALONE, COMPILED
from tests.train import tiny


def sound(folder):
    with Checkpoints(folder) as checkpoints:
        return tiny.train(steps=40, checkpoints=checkpoints)


def forgetful(folder):
    """Begins anew whenever it is started, with other data."""
    rows = tiny.arrays()
    rows["x"] = rows["x"] + np.float32(time.time() % 1)
    with Checkpoints(folder) as checkpoints:
        return tiny.train(steps=40, checkpoints=checkpoints, batches=Batches(rows, 8, seed=3))


def broken(folder):
    raise OSError(f"no room in {folder}")


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    """Its processes compile the same programs again and again."""
    for name in COMPILED.keys() - ALONE.keys() | {"JAX_ENABLE_COMPILATION_CACHE"}:
        monkeypatch.setenv(name, COMPILED[name])


def test_a_run_that_resumes(tmp_path):
    same = verify_resume("tests.train.test_verify:sound", tmp_path, kill_at=[7, 25])
    assert same["steps"] == 40
    assert [row["step"] for row in same["history"]] == [10, 20, 30, 40]
    assert same["state"]["params"] == digest(tiny.train(steps=40)[0].params)


def test_a_run_that_does_not(tmp_path):
    with pytest.raises(
        AssertionError, match=r"killed at \[25\], differs in .*params of the state.*the history.*step 0"
    ):
        verify_resume("tests.train.test_verify:forgetful", tmp_path, kill_at=[25])


def test_a_run_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)ended with code 1, expected 0 \(the end\).*no room in"):
        verify_resume("tests.train.test_verify:broken", tmp_path, kill_at=[25])


@pytest.mark.slow
def test_a_step_that_never_comes(tmp_path):
    with pytest.raises(RuntimeError, match="expected -9 \\(killed at step 41\\)"):
        verify_resume("tests.train.test_verify:sound", tmp_path, kill_at=[41])
