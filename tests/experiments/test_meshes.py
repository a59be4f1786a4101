"""With lanes an experiment ends with the same bits on any devices and processes, and may move between them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRON = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
OPTIONS = ["--steps", "100", "--lanes", "4"]


def digits(folder, processes, devices, *, killed=()):
    """The exit code and the digest of a job of so many processes, with so many devices each."""
    launch = ["jnn.launch", "-n", f"{processes}", "--devices", f"{devices}", "--restarts", "0", "--"]
    start = ["tests.experiments.killed", *killed] if killed else []
    command = [sys.executable, "-m", *launch, sys.executable, "-m", *start, "experiments.digits", *OPTIONS]
    command += ["--workdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode in (0, 143), done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if '"params_digest"' in line]
    return done.returncode, json.loads(lines[-1][lines[-1].index("{") :])["params_digest"] if lines else None


@pytest.mark.slow
def test_any_number_of_devices_and_processes(tmp_path):
    found = {shape: digits(tmp_path / str(shape), *shape)[1] for shape in [(1, 1), (1, 2), (1, 4), (2, 2), (4, 1)]}
    assert len(set(found.values())) == 1, found


@pytest.mark.slow
def test_begun_on_four_devices_and_ended_on_two(tmp_path):
    _, whole = digits(tmp_path / "whole", 1, 4)
    code, nothing = digits(tmp_path / "moved", 1, 4, killed=("term", "3"))
    assert (code, nothing) == (143, None)
    assert digits(tmp_path / "moved", 2, 1) == (0, whole)
