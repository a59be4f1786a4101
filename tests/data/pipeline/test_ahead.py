"""Batches read ahead: the same in any order of steps, by threads or workers; these are replaced, and end with a run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jnn.data import Batches, ReadAhead, SourceBatches
from tests.data.pipeline.numbered import Numbered, read


class Failing:
    def __getitem__(self, step):
        if step == 4:
            raise ValueError("record 17 of shard 3 is damaged")
        return {"x": np.full((1,), step)}


class Deadly:
    def __getitem__(self, step):
        if step == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"x": np.full((1,), step)}


@pytest.mark.parametrize("options", [{}, {"threads": 3, "depth": 5}, {"workers": 2}])
def test_the_same_batches_in_any_order_of_steps(options):
    examples = [{"x": np.arange(i, i + 4)} for i in range(30)]
    batches = SourceBatches(examples, 4, seed=7)
    steps = [0, 1, 2, 3, 20, 21, 2, 3]
    with ReadAhead(batches, **options) as ahead:
        for step in steps:
            for name, expected in batches[step].items():
                np.testing.assert_array_equal(ahead[step][name] if name == "x" else expected, expected)
        for name, expected in batches.stack(5, 3).items():
            np.testing.assert_array_equal(ahead.stack(5, 3)[name], expected)


def test_arrays_in_memory_too():
    batches = Batches({"x": np.arange(20)}, 3, seed=0)
    with ReadAhead(batches) as ahead:
        assert all(ahead[s]["x"].tolist() == batches[s]["x"].tolist() for s in range(15))


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost():
    lines = []
    with ReadAhead(Numbered(), workers=2, report=lines.append) as ahead:
        first = ahead[0]
        assert first["process"] != os.getpid()
        os.kill(int(first["process"]), signal.SIGKILL)
        assert read(ahead, range(1, 30)) == list(range(1, 30))
    assert len(lines) == 1
    assert "exit code -9" in lines[0]


def test_workers_that_die_again_and_again_are_an_error():
    lines = []
    with (
        ReadAhead(Deadly(), workers=1, restarts=1, report=lines.append) as ahead,
        pytest.raises(RuntimeError, match="exit code -9"),
    ):
        read(ahead, range(3))
    assert len(lines) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_source_comes_where_its_batch_would_have(workers):
    with ReadAhead(Failing(), workers=workers) as ahead:
        assert read(ahead, range(4)) == [0, 1, 2, 3]
        with pytest.raises(ValueError, match="record 17 of shard 3"):
            ahead[4]
        assert read(ahead, [5, 6]) == [5, 6]


PROGRAM = """
import os, signal
from jnn.data import ReadAhead
from tests.data.pipeline.numbered import Numbered

if __name__ == "__main__":
    ahead = ReadAhead(Numbered(), workers=2)
    print(*{int(ahead[step]["process"]) for step in range(4)}, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_run_that_is_killed(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    path = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, env=path, check=False)
    assert done.returncode == -signal.SIGKILL
    workers = [int(word) for word in done.stdout.split()]
    assert len(workers) == 2
    give_up = time.monotonic() + 30
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < give_up, "the workers have outlived their run"
        time.sleep(0.1)


def alive(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("options", [{"threads": 0}, {"depth": 0}, {"workers": -1}])
def test_bad_input_is_one_clear_error(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}={next(iter(options.values()))}"):
        ReadAhead(Numbered(), **options)


def test_what_has_no_steps_is_one_clear_error():
    with pytest.raises(TypeError, match=r"ReadAhead: expected batches by their step, batches\[0\], found generator"):
        ReadAhead({"x": i} for i in range(3))
