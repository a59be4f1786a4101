"""Experiments that are killed at random moments, again and again, end with the bits of one that was not."""

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jnn.data import data_root
from tests.experiments.killed import so_far
from tests.programs import COMPILED

ROOT = Path(__file__).parents[2]
SMALL = ["--hidden", "64", "--channels", "8", "16", "--dense", "32"]
KINDS = ("save", "step", "evaluate", "term", "final")
ENDS = {0, -signal.SIGKILL, 128 + signal.SIGTERM}


def run(processes, module, folder, options, kinds=()):
    """The exit code, the last line as JSON, and stderr: of one process, or of a job that begins again by itself."""
    killed = ["tests.experiments.killed", ",".join(kinds), f"{folder}.deaths"] if kinds else []
    restarts = len(kinds) + 4 if kinds else 0
    launch = ["-m", "jnn.launch", "-n", f"{processes}", "--devices", "1", "--restarts", f"{restarts}"]
    launch += ["--backoff", "0", "--silence", "6", "--", sys.executable]
    command = [sys.executable, *(launch if processes > 1 else []), "-m", *killed, module]
    command += ["--workdir", str(folder), "--save-seconds", "0", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900, env=COMPILED)
    assert done.returncode in ENDS, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if "params_digest" in line and "{" in line]
    result = json.loads(lines[-1][lines[-1].index("{") :]) if done.returncode == 0 else None
    return done.returncode, result, done.stderr


def check(kinds, processes, module, folder, options):
    """Runs an experiment as it is, and killed at these moments; returns the kinds that came, and the last stderr.

    One process is started again here; several are by the launcher, which is started once.
    """
    whole, killed = folder / "whole", folder / "killed"
    _, expected, _ = run(processes, module, whole, options)
    for _ in range(len(kinds) + 1 if processes == 1 else 1):
        code, result, err = run(processes, module, killed, options, kinds)
        if code == 0:
            break
    assert code == 0, err[-2000:]
    assert result | {"seconds": 0} == expected | {"seconds": 0}
    return so_far(Path(f"{killed}.deaths")), err


@pytest.mark.parametrize("kinds", [("save", "final"), pytest.param(KINDS, marks=pytest.mark.slow)], ids=len)
def test_digits(tmp_path, kinds):
    came, _ = check(kinds, 1, "experiments.digits", tmp_path, ["--steps", "40", *SMALL])
    assert came == list(kinds)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [["save"], ["save", "stop", "term"]], ids=len)
def test_the_launcher_begins_a_killed_job_again(tmp_path, kinds):
    """By SIGKILL in a save, by SIGSTOP, by SIGTERM to one process alone."""
    came, err = check(kinds, 2, "experiments.digits", tmp_path, ["--steps", "40", *SMALL])
    assert came == kinds
    assert err.count("jnn.launch: begins again in") >= len(kinds)  # a starved process may be taken for one that hangs
    assert "ended with code -9" in err
    assert ("has given no sign of life for 6 s" in err) == ("stop" in kinds)
    assert ("ended with code 143" in err) == ("term" in kinds)


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
    came, _ = check(kinds, processes, module, tmp_path, options)
    print(module, processes, came)
    assert len(came) >= kills - 2, came


@pytest.mark.slow
def test_four_processes(tmp_path):
    kinds = ["step", "save", "stop", "evaluate", "term", "stop", "final"]
    came, err = check(kinds, 4, "experiments.digits", tmp_path, ["--steps", "200", *SMALL])
    assert came == kinds
    assert err.count("begins again") >= len(kinds)
