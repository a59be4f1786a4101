"""The launcher is told to end, or killed: all that it started ends with it."""

import signal
import subprocess
import time

import pytest

from tests.launch.jobs import LAUNCH, ROOT, program, wait_until_gone


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


@pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="nohup: SIGHUP is ignored")
def test_the_end_of_the_terminal_ends_all(tmp_path):
    launcher, pids = started(tmp_path, "time.sleep(600)")
    launcher.send_signal(signal.SIGHUP)
    launcher.communicate(timeout=30)
    assert launcher.returncode == 143
    wait_until_gone(pids)
