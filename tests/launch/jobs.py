"""Jobs for the launcher: programs with a pulse, most of which need no JAX at all, and what is left of them."""

import os
import sys
import time
from pathlib import Path

from jnn.launch._supervise import LaunchConfig, supervise

ROOT = Path(__file__).parents[2]
PULSE = """
import os, sys, time, signal, threading
rank = int(os.environ["JNN_PROCESS"])
def beat():
    while True:
        os.write(int(os.environ["JNN_PULSE"]), b".")
        time.sleep(0.2)
threading.Thread(target=beat, daemon=True).start()
"""


def program(tmp_path, code):
    (tmp_path / "program.py").write_text(PULSE + code)
    return [sys.executable, str(tmp_path / "program.py")]


def launch(tmp_path, code, **settings):
    """The exit code, the lines of the launcher, and the seconds it took."""
    lines, start = [], time.monotonic()
    code = supervise(program(tmp_path, code), LaunchConfig(**settings), report=lines.append)
    return code, lines, time.monotonic() - start


def gone(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_until_gone(pids):
    give_up = time.monotonic() + 20
    while not all(map(gone, pids)):
        assert time.monotonic() < give_up, "processes have outlived their job"
        time.sleep(0.05)


LAUNCH = [sys.executable, "-m", "jnn.launch", "-n", "2", "--grace", "5", "--"]
