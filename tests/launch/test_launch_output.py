"""What processes print comes with their rank, as it was written; readers who leave, and output that goes nowhere."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.launch.jobs import LAUNCH, ROOT, launch, program, wait_until_gone


def test_all_end_well_and_lines_carry_their_rank(tmp_path, capfd):
    code, lines, _ = launch(tmp_path, 'print("from", rank); print("oh", file=sys.stderr)', processes=3)
    assert (code, lines) == (0, [])
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == [f"[{i}] from {i}" for i in range(3)]
    assert sorted(err.splitlines()) == [f"[{i}] oh" for i in range(3)]


CHATTY = """
open({folder!r} + f"/{{rank}}.pid", "w").write(str(os.getpid()))
while True:
    print("a line that somebody may read")
    print("and one of those that are errors", file=sys.stderr)
    sys.stdout.flush()
    time.sleep(0.01)
"""


def unread(tmp_path, redirection):
    """The exit code and standard error of a launcher in a shell, whose output is not read to its end."""
    command = shlex.join([*LAUNCH, *program(tmp_path, CHATTY.format(folder=str(tmp_path)))])
    script = f"set -o pipefail; {command} {redirection}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    wait_until_gone(int(path.read_text()) for path in tmp_path.glob("*.pid"))
    return done


def test_a_reader_who_leaves_ends_the_job_once_and_quietly(tmp_path):
    done = unread(tmp_path, "2>err | head -n 1".replace("err", str(tmp_path / "err")))
    assert done.returncode == 141
    assert re.fullmatch(r"\[[01]\] a line that somebody may read\n", done.stdout)
    assert done.stderr == ""
    ours = [line for line in (tmp_path / "err").read_text().splitlines() if not line.endswith("that are errors")]
    assert ours == ["jnn.launch: ends: its output is read no more"]


def test_a_reader_of_errors_and_all_who_leaves_is_the_same(tmp_path):
    done = unread(tmp_path, "2>&1 | head -n 1")
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (141, 1, "")


QUIET = 'print("x" * 100_000); print("y" * 100_000, file=sys.stderr)'


@pytest.mark.parametrize("redirection", ["2>&-", ">/dev/full", "<&- >&- 2>&-"])
def test_output_that_goes_nowhere_keeps_no_process_waiting(tmp_path, redirection):
    command = shlex.join([*LAUNCH, *program(tmp_path, QUIET)])
    done = subprocess.run(
        ["bash", "-c", f"{command} {redirection}"], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow), "utf-8"])
def test_lines_come_as_they_were_written_whatever_the_terminal(tmp_path, encoding):
    code = 'sys.stdout.buffer.write("größer ∞ ".encode() + bytes([0xff]) + b"\\n")'
    command = [sys.executable, "-m", "jnn.launch", "-n", "1", "--", *program(tmp_path, code)]
    environ = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == "[0] größer ∞ ".encode() + b"\xff\n"
