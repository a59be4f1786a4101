"""The launcher: jobs that end well, die, stop, fall silent, or are told to end. Most need no JAX at all."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jnn.launch import _supervise as supervision
from jnn.launch.__main__ import arguments, main
from jnn.launch._supervise import LaunchConfig, supervise

ROOT = Path(__file__).parents[3]
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


def test_all_end_well_and_lines_carry_their_rank(tmp_path, capfd):
    code, lines, _ = launch(tmp_path, 'print("from", rank); print("oh", file=sys.stderr)', processes=3)
    assert (code, lines) == (0, [])
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == [f"[{i}] from {i}" for i in range(3)]
    assert sorted(err.splitlines()) == [f"[{i}] oh" for i in range(3)]


def test_a_process_that_dies_ends_all_and_the_job_begins_again(tmp_path):
    flag = tmp_path / "pids"
    code = f"""
with open({str(flag)!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
if rank == 1 and open({str(flag)!r}).read().count("\\n") <= 2:
    while open({str(flag)!r}).read().count("\\n") < 2: time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
if open({str(flag)!r}).read().count("\\n") <= 2:
    signal.signal(signal.SIGTERM, lambda *_: None)  # as JAX does once it is joined
    time.sleep(600)
"""
    result, lines, seconds = launch(tmp_path, code, processes=2, backoff=0.1)
    assert result == 0
    assert lines == [
        "process 1 ended with code -9; the others are ended",
        "begins again in 0.1 s (1 of 3 times)",
    ]
    assert seconds < 15
    wait_until_gone(map(int, flag.read_text().split()))


def test_a_process_that_is_stopped_is_noticed(tmp_path):
    code = """
time.sleep(0.5)
if rank == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(600)
"""
    result, lines, seconds = launch(tmp_path, code, processes=2, restarts=0, silence=2)
    assert result == 1
    assert lines[0] == "process 0 has given no sign of life for 2 s; the others are ended"
    assert seconds < 15


def test_a_process_that_lives_and_makes_no_step_is_noticed(tmp_path):
    """Of two that wait for each other, the one that was there first to wait for; the launcher is asked to look."""
    code = """
from jnn.launch import initialize
from jnn.train._watch import tell
initialize(environ={"JNN_PULSE": os.environ["JNN_PULSE"]})
for step in range(5 if rank == 1 else 20):
    tell(step, {})
    time.sleep(0.2)
time.sleep(600)
"""
    result, lines, seconds = launch(tmp_path, code, processes=2, restarts=0, stall=2)
    assert result == 1
    assert lines[0] == "process 1 has begun no step for 2 s; the others are ended"
    assert seconds < 60


def test_a_hung_process_is_named_where_one_that_waited_for_it_dies_first(tmp_path):
    code = """
if rank == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(4)
os.abort()  # as JAX does with those that a hung one keeps waiting
"""
    result, lines, _ = launch(tmp_path, "time.sleep(0.5)\n" + code, processes=2, restarts=0, silence=60)
    assert result == 128 + signal.SIGABRT
    assert re.fullmatch(
        r"process 1 ended with code -6; process 0 was silent for \d+ s; the others are ended", lines[0]
    ), lines


def test_it_gives_up_after_so_many_times_with_the_code_of_the_first(tmp_path):
    result, lines, _ = launch(tmp_path, "sys.exit(7 if rank == 0 else 0)", processes=2, restarts=2, backoff=0.05)
    assert result == 7
    assert [line for line in lines if "again" in line] == [
        "begins again in 0.05 s (1 of 2 times)",
        "begins again in 0.1 s (2 of 2 times)",
    ]
    assert [line for line in lines if "again" not in line] == [
        *["process 0 ended with code 7; the others are ended"] * 3,
        "failed 3 times; the last code was 7",
    ]


def test_a_process_that_was_called_wrongly_is_not_started_again(tmp_path):
    result, lines, _ = launch(tmp_path, "sys.exit(2)", processes=1, restarts=3, backoff=0)
    assert result == 2
    assert lines == [
        "process 0 ended with code 2; the others are ended",
        "does not begin again: code 2 says that the command line is wrong",
    ]


def test_the_pause_before_another_attempt_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "LONGEST", 0.03)
    _, lines, _ = launch(tmp_path, "sys.exit(7)", processes=1, restarts=3, backoff=0.01)
    assert [line.split(" (")[0] for line in lines if "again" in line] == [
        f"begins again in {seconds} s" for seconds in (0.01, 0.02, 0.03)
    ]


def unstartable(tmp_path, kind):
    """Something that is no program."""
    (script := tmp_path / "script").write_text("neither a program nor a script\n")
    script.chmod(0o755)
    return {"missing": "no-such-program", "folder": str(tmp_path), "text": str(script), "empty": ""}[kind]


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty"])
def test_what_cannot_be_started_is_one_clear_error(tmp_path, kind, capsys):
    name = unstartable(tmp_path, kind)
    assert main(["-n", "2", "--", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        rf"jnn.launch: error: supervise: {re.escape(repr(name))} cannot be started \(.+\)\. Give a program .*\n", err
    ), err


LAUNCH = [sys.executable, "-m", "jnn.launch", "-n", "2", "--grace", "5", "--"]


def started(tmp_path, code):
    """A launcher of its own process, and the pids of what it started."""
    code = f'open({str(tmp_path)!r} + f"/{{rank}}.pid", "w").write(str(os.getpid()))\n' + code
    launcher = subprocess.Popen([*LAUNCH, *program(tmp_path, code)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 30
    while not all((path := tmp_path / f"{i}.pid").exists() and path.read_text() for i in range(2)):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    return launcher, [int((tmp_path / f"{i}.pid").read_text()) for i in range(2)]


def test_sigterm_is_handed_on_and_comes_back_as_143(tmp_path):
    code = f"""
signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path)!r} + f"/{{rank}}.saved", "w").close(), os._exit(143)))
open({str(tmp_path)!r} + f"/{{rank}}.ready", "w").close()
while True: time.sleep(0.1)
"""
    launcher, pids = started(tmp_path, code)
    while not all((tmp_path / f"{i}.ready").exists() for i in range(2)):
        time.sleep(0.05)
    launcher.send_signal(signal.SIGTERM)
    _, err = launcher.communicate(timeout=30)
    assert launcher.returncode == 143, err
    assert all((tmp_path / f"{i}.saved").exists() for i in range(2))
    wait_until_gone(pids)


def test_processes_end_with_a_launcher_that_is_killed(tmp_path):
    code = (
        "from jnn.launch import initialize; initialize(environ={'JNN_PULSE': os.environ['JNN_PULSE']}); time.sleep(600)"
    )
    launcher, pids = started(tmp_path, code)
    launcher.kill()
    launcher.communicate(timeout=30)
    wait_until_gone(pids)


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


@pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="nohup: SIGHUP is ignored")
def test_the_end_of_the_terminal_ends_all(tmp_path):
    launcher, pids = started(tmp_path, "time.sleep(600)")
    launcher.send_signal(signal.SIGHUP)
    launcher.communicate(timeout=30)
    assert launcher.returncode == 143
    wait_until_gone(pids)


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


def test_the_command_line():
    job, command = arguments(["-n", "4", "--devices", "2", "--", "python", "-m", "experiments.gpt", "--steps", "9"])
    assert (job.processes, job.devices) == (4, 2)
    assert command == ["python", "-m", "experiments.gpt", "--steps", "9"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-n", "2"], "expected a command behind --"),
        (["-n", "0", "--", "true"], "at least 1 process,"),
        (["-n", "1", "--silence", "0", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--stall", "1", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--stall", "nan", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--silence", "nan", "--", "true"], "silence and stall of at least 2 seconds"),
        (["-n", "1", "--backoff", "-1", "--", "true"], "no number below 0"),
        (["-n", "1", "--backoff", "nan", "--", "true"], "no number below 0"),
        (["-n", "1", "--grace", "nan", "--", "true"], "no number below 0"),
        (["-n", "1", "--backoff", "inf", "--", "true"], "a backoff of at most 86400 seconds, a day"),
        (["-n", "1", "--devices", "0", "--", "true"], "at least 1 device,"),
        (["--", "true"], "-n"),
    ],
)
def test_bad_command_lines_are_one_clear_error(argv, message, capsys):
    with pytest.raises(SystemExit) as end:
        arguments(argv)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
