"""The launcher: jobs that end well, die, stop or fall silent; what it names, and when it begins again."""

import re
import signal

from jnn.launch import _supervise as supervision
from tests.launch.jobs import launch, wait_until_gone


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
from jnn.train import tell
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
