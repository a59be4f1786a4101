"""Exactly-once hooks: finished ones never run again, interrupted ones do, also after SIGKILL."""

import signal
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.train import Ledger

ROOT = Path(__file__).parents[2]

# appends to a file at the start and the end of each hook, and dies inside the second
PROGRAM = """
import os, signal, sys
from jnn.train._ledger import Ledger

folder = sys.argv[1]
def note(text):
    with open(folder + "/notes", "a") as file:
        file.write(text + "\\n")

ledger = Ledger(folder)
for step in (1, 2, 3):
    def hook():
        note(f"start {step}")
        if step == 2 and len(sys.argv) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        note(f"end {step}")
        return step * step
    print(ledger.once("square", step, hook))
"""


def run(*args):
    return subprocess.run([sys.executable, "-c", PROGRAM, *args], check=False, cwd=ROOT, capture_output=True, text=True)


def test_killed_inside_a_hook(tmp_path):
    assert run(str(tmp_path), "die").returncode == -signal.SIGKILL
    again = run(str(tmp_path))
    assert again.stdout.split() == ["1", "4", "9"], again.stderr
    notes = (tmp_path / "notes").read_text().splitlines()
    assert notes == ["start 1", "end 1", "start 2", "start 2", "end 2", "start 3", "end 3"]


def test_a_hook_that_raises_runs_again(tmp_path):
    calls = []

    def hook():
        calls.append(None)
        if len(calls) == 1:
            raise OSError("disk full")
        return {"written": True}

    with pytest.raises(OSError, match="disk full"):
        Ledger(tmp_path).once("export", 5, hook)
    ledger = Ledger(tmp_path)
    assert ledger.once("export", 5, hook) == ledger.once("export", 5, hook) == {"written": True}
    assert len(calls) == 2


def test_hooks_and_steps_are_apart(tmp_path):
    ledger = Ledger(tmp_path)
    results = iter(range(4))
    assert [ledger.once(name, step, results.__next__) for name in "ab" for step in (1, 2)] == [0, 1, 2, 3]


@pytest.mark.parametrize("kept", range(1, 45, 7))
def test_a_torn_last_line_is_dropped_and_written_again(tmp_path, kept):
    ledger = Ledger(tmp_path)
    ledger.once("a", 1, lambda: 1)
    whole = ledger.path.stat().st_size
    ledger.once("a", 2, lambda: 2)
    with ledger.path.open("r+b") as file:
        file.truncate(min(whole + kept, ledger.path.stat().st_size - 1))
    again = Ledger(tmp_path)
    assert again.once("a", 1, lambda: "again") == 1
    assert again.once("a", 2, lambda: "again") == "again"
    assert Ledger(tmp_path).once("a", 2, lambda: "a third time") == "again"


def test_a_damaged_line_names_itself(tmp_path):
    (tmp_path / "hooks.jsonl").write_text('{"hook": "a", "step": 1, "result": 1}\nnonsense\n')
    with pytest.raises(ValueError, match="line 2 is not of a hooks' ledger: 'nonsense'"):
        Ledger(tmp_path)


def test_a_result_that_is_no_json_is_not_recorded(tmp_path):
    with pytest.raises(TypeError, match="hook 'a' must return a JSON value"):
        Ledger(tmp_path).once("a", 1, object)
    for value in (np.float32(1), np.zeros(2), jnp.ones(())):
        with pytest.raises(TypeError, match=r"Convert what it returns: float\(x\).*x\.tolist\(\)"):
            Ledger(tmp_path).once("a", 1, lambda value=value: value)
    assert Ledger(tmp_path).once("a", 1, lambda: 7) == 7
