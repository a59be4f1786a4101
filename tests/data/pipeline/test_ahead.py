import functools
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from jnn.data import Batches, ReadAhead, SourceBatches


class Numbered:
    """Batches that tell which process made them."""

    def __getitem__(self, step):
        return {"x": np.full((3,), step), "process": np.int32(os.getpid())}


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


def read(batches, steps):
    return [int(batches[step]["x"].flat[0]) for step in steps]


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
from tests.data.pipeline.test_ahead import Numbered

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


class NeedsTwo(Exception):
    """As many libraries' are: pickled by its message alone, and made from two arguments."""

    def __init__(self, row, why):
        super().__init__(f"row {row}: {why}")


class Forgetful(Exception):
    """Comes back without its message."""

    def __reduce__(self):
        return Forgetful, ()


class Unsendable(Exception):
    def __reduce__(self):
        raise ValueError("not to be sent")


class Deadlier(Exception):
    """Ends whoever reads it."""

    def __reduce__(self):
        return sys.exit, ("read",)


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")


class Locked:
    def __init__(self):
        self.lock = threading.Lock()


class Raises:
    """A source that does something else for step 1."""

    def __init__(self, act):
        self.act = act

    def __getitem__(self, step):
        return self.act() if step == 1 else {"x": np.full(2, step)}


def act(error, *arguments):
    raise error(*arguments)


def raising(error, *arguments):
    """By name: of a function that is made here a worker has no source to show."""
    return functools.partial(act, error, *arguments)


class Late(Raises):
    """A source that fails when it is read in the worker."""

    def __setstate__(self, state):
        raise NeedsTwo(7, "late")


class Lengthless:
    def __len__(self):
        raise NeedsTwo(9, "no length")


KEPT = {"own": (KeyError, "k"), "named": (ZeroDivisionError, "why")}
WRAPPED = {
    "needs two": (NeedsTwo, 3, "broken"),
    "forgetful": (Forgetful, "broken"),
    "unsendable": (Unsendable, "broken"),
    "deadlier": (Deadlier, "broken"),
    "wordless": (Wordless,),
    "exit": (SystemExit, 3),
    "interrupt": (KeyboardInterrupt,),
    "stop": (StopIteration, "broken"),
    "lock": (NeedsTwo, threading.Lock, "broken"),
}


def test_whatever_a_worker_raises_is_one_error_with_its_traceback():
    """One pool for all of them: each step of the source raises another."""
    errors = [*KEPT.values(), *WRAPPED.values()]
    with ReadAhead(Each([raising(*error) for error in errors]), workers=1, depth=1) as ahead:
        for step, (kind, *_) in enumerate(errors):
            with pytest.raises(kind if step < len(KEPT) else RuntimeError) as caught:
                ahead[step]
            told = "".join(traceback.format_exception(caught.value))
            assert kind.__name__ in told
            assert "in act\n    raise error(*arguments)" in told
            if step >= len(KEPT):
                assert str(caught.value).startswith(f"ReadAhead: batch {step} failed in a worker with ")
        assert read(ahead, [len(errors)]) == [len(errors)]


class Each:
    """A source that does something else for each of the first steps."""

    def __init__(self, acts):
        self.acts = acts

    def __getitem__(self, step):
        return self.acts[step]() if step < len(self.acts) else {"x": np.full(2, step)}


def test_what_a_worker_cannot_send_or_count_is_one_clear_error():
    acts = {
        r"a batch holds a lock, which a worker cannot send \(TypeError": lambda: {"x": threading.Lock()},
        r"a batch holds a Unsendable, which a worker cannot send \(ValueError": lambda: {"x": Unsendable()},
        r"batch 2 failed in a worker with .*NeedsTwo: row 9: no length": lambda: {"x": len(Lengthless())},
    }
    with ReadAhead(Each(list(acts.values())), workers=1) as ahead:
        for step, message in enumerate(acts):
            with pytest.raises((RuntimeError, TypeError), match=message):
                ahead[step]


def test_a_source_that_cannot_be_read_in_a_worker_is_one_clear_error():
    message = r"batch 0 failed in a worker with .*NeedsTwo: row 7: late"
    with ReadAhead(Late(None), workers=1) as ahead, pytest.raises(RuntimeError, match=message):
        ahead[0]


def test_batches_that_cannot_be_sent_to_a_worker_are_one_clear_error():
    with (
        ReadAhead(Raises(Locked()), workers=1) as ahead,
        pytest.raises(
            TypeError, match=r"workers need batches that can be pickled, and Raises cannot \(TypeError: cannot"
        ),
    ):
        ahead[0]


def test_what_has_no_steps_is_one_clear_error():
    with pytest.raises(TypeError, match=r"ReadAhead: expected batches by their step, batches\[0\], found generator"):
        ReadAhead({"x": i} for i in range(3))
