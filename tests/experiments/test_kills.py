"""Experiments that are killed at random moments, again and again, end with the bits of one that was not."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jnn.data import data_root

ROOT = Path(__file__).parents[2]
KINDS = ("save", "step", "evaluate", "term", "final")
ENDS = {0, -signal.SIGKILL, 128 + signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM}


def run(processes, module, folder, options, killed=()):
    """The exit code and the last line as JSON, of one process or of a job of several."""
    start = ["tests.experiments.killed", *killed, module] if killed else [module]
    launch = ["-m", "jnn.launch", "-n", f"{processes}", "--devices", "1", "--restarts", "0", "--", sys.executable]
    command = [sys.executable, *(launch if processes > 1 else []), "-m", *start]
    command += ["--workdir", str(folder), "--save-seconds", "0", *options]
    environ = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # one device a process
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600, env=environ)
    assert done.returncode in ENDS, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if "params_digest" in line and "{" in line]
    return done.returncode, json.loads(lines[-1][lines[-1].index("{") :]) if done.returncode == 0 else None


def killed_until(kinds, processes, module, folder, options):
    """The result of a run that was killed at these moments; how often each kind of them came."""
    came = dict.fromkeys(KINDS, 0)
    for seed, kind in enumerate(kinds):
        _, result = run(processes, module, folder, options, (kind, str(seed)))
        if result is not None:
            return result, came
        came[kind] += 1
    _, result = run(processes, module, folder, options)
    return result, came


def check(kinds, processes, module, folder, options):
    _, whole = run(processes, module, folder / "whole", options)
    result, came = killed_until(kinds, processes, module, folder / "killed", options)
    assert result | {"seconds": 0} == whole | {"seconds": 0}
    return came


def test_digits(tmp_path):
    came = check(KINDS, 1, "experiments.digits", tmp_path, ["--steps", "800"])
    assert sum(came.values()) >= 4, came


def test_two_processes(tmp_path):
    came = check(["step", "term"], 2, "experiments.digits", tmp_path, ["--steps", "200"])
    assert came["step"] == came["term"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "kills"), [(1, 12), (2, 6)])
@pytest.mark.parametrize(
    ("module", "needs", "options"),
    [
        ("experiments.digits", None, ["--steps", "1200"]),
        ("experiments.cifar10", "cifar10", ["--steps", "4224", "--batch-size", "16"]),
        ("experiments.gpt", "tinyshakespeare", ["--steps", "1500", "--sample", "32"]),
    ],
)
def test_many_kills(tmp_path, processes, kills, module, needs, options):
    if needs and not (data_root() / needs).exists():
        pytest.skip(f"{needs} is not in {data_root()}")
    kinds = [*itertools.islice(itertools.cycle(KINDS[:-1]), kills - 1), "final"]
    came = check(kinds, processes, module, tmp_path, options)
    print(module, processes, came)
    assert sum(came.values()) >= kills - 2, came
