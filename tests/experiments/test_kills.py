"""Experiments that are killed at random moments, again and again, end with the bits of one that was not."""

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jnn.data import data_root

ROOT = Path(__file__).parents[2]
KINDS = ("save", "step", "evaluate", "final")


def run(module, folder, options, killed=()):
    """The exit code and the last line as JSON, of one process."""
    start = ["tests.experiments.killed", *killed, module] if killed else [module]
    command = [sys.executable, "-m", *start, "--workdir", str(folder), "--save-seconds", "0", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def killed_until(kills, module, folder, options):
    """The result of a run that was killed this often; how often each kind of moment came."""
    came = dict.fromkeys(KINDS, 0)
    for seed, kind in enumerate(itertools.chain(itertools.islice(itertools.cycle(KINDS[:3]), kills - 1), ["final"])):
        _, result = run(module, folder, options, (kind, str(seed)))
        if result is not None:
            return result, came
        came[kind] += 1
    _, result = run(module, folder, options)
    return result, came


def check(kills, module, folder, options):
    _, whole = run(module, folder / "whole", options)
    result, came = killed_until(kills, module, folder / "killed", options)
    assert result | {"seconds": 0} == whole | {"seconds": 0}
    return came


def test_digits(tmp_path):
    came = check(5, "experiments.digits", tmp_path, ["--steps", "800"])
    assert sum(came.values()) >= 3, came


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "needs", "options"),
    [
        ("experiments.digits", None, ["--steps", "1200"]),
        ("experiments.cifar10", "cifar10", ["--steps", "2816", "--batch-size", "16"]),
        ("experiments.gpt", "tinyshakespeare", ["--steps", "1500", "--sample", "32"]),
    ],
)
def test_many_kills(tmp_path, module, needs, options):
    if needs and not (data_root() / needs).exists():
        pytest.skip(f"{needs} is not in {data_root()}")
    came = check(12, module, tmp_path, options)
    assert sum(came.values()) >= 10, came
