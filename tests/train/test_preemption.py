"""SIGTERM: heard while one listens, then as it was before; by several processes in the same call."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jnn.train import Preempted
from jnn.train._preemption import Preemption
from tests.programs import ALONE

ROOT = Path(__file__).parents[2]
ENVIRON = ALONE | {"PYTHONPATH": str(ROOT)}


def test_a_signal_sets_the_flag_and_nothing_else():
    before = signal.getsignal(signal.SIGTERM)
    with Preemption() as preemption:
        assert not preemption.reached()
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.reached()
        assert preemption.reached()
    assert signal.getsignal(signal.SIGTERM) is before


TWO = """
import os, signal, time
import jax
jax.config.update("jax_platforms", "cpu")
from jnn.launch import initialize
from jnn.train._preemption import Preemption
initialize()
for run, calls in enumerate([20, 1000]):
    with Preemption() as preemption:
        for call in range(calls):
            if (run, call, jax.process_index()) == (0, 19, 1):
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            if preemption.reached():
                print("reached", run, call, preemption.reached(), flush=True)
                raise SystemExit
"""


def test_one_that_comes_at_the_end_of_a_run_is_heard_by_all_in_the_next(tmp_path):
    """Of two runs in a process, as an experiment with two models has them."""
    (tmp_path / "program.py").write_text(TWO)
    launch = [sys.executable, "-m", "jnn.launch", "-n", "2", "--devices", "1", "--restarts", "0", "--", sys.executable]
    done = subprocess.run(
        [*launch, str(tmp_path / "program.py")], env=ENVIRON, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = sorted(
        line.removeprefix(f"[{i}] ")
        for i in range(2)
        for line in done.stdout.splitlines()
        if line.startswith(f"[{i}] reached")
    )
    assert first == second
    assert first.startswith("reached 1 "), first
    assert first.endswith(" True"), first


def test_the_exit_code_is_the_shells():
    with pytest.raises(SystemExit) as error:
        raise Preempted(12)
    assert error.value.code == 143
    assert "step 12, which is saved" in str(error.value)
