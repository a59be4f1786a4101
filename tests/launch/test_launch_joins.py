"""Launched processes join and compute together; those that never do are named."""

import os
import re
import subprocess
import sys

from jnn.launch._supervise import LaunchConfig, supervise
from tests.launch.jobs import ROOT

JOINED = """
import time; start = time.monotonic()
import jax
jax.config.update("jax_platforms", "cpu")
from jnn.launch import initialize
initialize()
from jax.experimental import multihost_utils
print("sum", int(multihost_utils.process_allgather(jax.numpy.int32(jax.process_index() + 1)).sum()), flush=True)
"""


def test_processes_join_and_compute_together(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "program.py").write_text(JOINED)
    job = LaunchConfig(processes=2, devices=1, restarts=0)
    assert supervise([sys.executable, str(tmp_path / "program.py")], job) == 0, capfd.readouterr().err
    lines = [line for line in capfd.readouterr().out.splitlines() if "sum" in line]  # Gloo says hello, too
    assert sorted(lines) == ["[0] sum 3", "[1] sum 3"]


MISSING = """
import os, time
from pathlib import Path
rank = os.environ["JNN_PROCESS"]
if rank in "13":
    time.sleep(600)
import jax
jax.config.update("jax_platforms", "cpu")
from jnn.launch import initialize
here, other = (Path({folder!r}, i) for i in ("02" if rank == "0" else "20"))
here.touch()
while not other.exists(): time.sleep(0.01)  # two that come at once need not be waited for long
initialize(timeout=2)
"""


def test_processes_that_never_join_are_named(tmp_path):
    """By those that did, end to end: exit code 1, and those that slept are ended."""
    (tmp_path / "program.py").write_text(MISSING.format(folder=str(tmp_path)))
    command = [sys.executable, "-m", "jnn.launch", "-n", "4", "--devices", "1", "--restarts", "0", "--"]
    done = subprocess.run(
        [*command, sys.executable, str(tmp_path / "program.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "TimeoutError: " in line]
    assert errors, done.stderr
    for line in errors:  # of process 0, and of 2 if it was not ended before it could say so
        assert re.match(r"\[[02]\] TimeoutError: rendezvous: waited 2 s .* of 4 processes \[1, 3\] never called", line)
