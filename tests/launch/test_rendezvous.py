import contextlib
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jnn.launch._initialize import initialize
from jnn.launch._rendezvous import rendezvous
from jnn.launch._supervise import free_port


def outcome(*args, **kwargs):
    try:
        return rendezvous(*args, **kwargs)
    except Exception as error:
        return error


def called(address, processes, ranks, timeout):
    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(lambda rank: outcome(address, processes, rank, timeout=timeout), ranks))


def test_all_that_come_go_on_and_the_port_is_free_again():
    address = f"127.0.0.1:{free_port()}"
    assert called(address, 4, [3, 0, 2, 1], 20) == [None] * 4
    with socket.create_server(("127.0.0.1", int(address.split(":")[1]))):
        pass


def test_the_missing_are_named_on_every_process_that_came():
    start = time.monotonic()
    errors = called(f"127.0.0.1:{free_port()}", 5, [0, 3, 1], 1.0)
    assert time.monotonic() - start < 10
    for error in errors:
        assert isinstance(error, TimeoutError)
        assert re.search(r"waited 1 s .* of 5 processes \[2, 4\] never called", str(error))


def test_without_rank_0_the_others_say_so():
    start = time.monotonic()
    (error,) = called(f"127.0.0.1:{free_port()}", 2, [1], 0.2)
    assert time.monotonic() - start < 20
    assert isinstance(error, TimeoutError)
    assert "[0] never answered" in str(error)


@pytest.mark.parametrize("says", ["GET / HTTP/1.1\r\n\r\n", "7\n", "0\n", "x" * 100, "\xff\n", ""])
def test_a_stranger_on_the_port_does_no_harm(says):
    """Whether it says what is no rank of the job, or nothing at all before it hangs up."""
    port = free_port()

    def stranger():
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1) as call:
                    return call.sendall(says.encode("latin-1"))
            except OSError:
                time.sleep(0.01)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rendezvous, f"127.0.0.1:{port}", 2, 0, timeout=20)
        pool.submit(stranger).result()
        assert rendezvous(f"127.0.0.1:{port}", 2, 1, timeout=20) is None
        assert first.result() is None


def test_a_stranger_that_stays_and_says_nothing_is_not_waited_for():
    port = free_port()
    with ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        first = pool.submit(rendezvous, f"127.0.0.1:{port}", 2, 0, timeout=20)
        while True:
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=1))
                break
        assert rendezvous(f"127.0.0.1:{port}", 2, 1, timeout=20) is None
        assert first.result() is None


def test_two_processes_of_one_rank():
    errors = called(f"127.0.0.1:{free_port()}", 4, [0, 1, 1], 20)
    assert all(isinstance(error, ValueError) and "two processes have rank 1" in str(error) for error in errors), errors


MANY = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from jnn.launch._rendezvous import rendezvous
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with ThreadPoolExecutor(100) as pool:
    list(pool.map(lambda rank: rendezvous(sys.argv[1], 100, rank, timeout=20), range(100)))
"""


def test_more_processes_than_files_may_be_open():
    address = f"127.0.0.1:{free_port()}"
    done = subprocess.run([sys.executable, "-c", MANY, address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("address", "processes", "rank"), [("nowhere", 2, 0), (":80", 2, 0), ("a:b", 2, 0), ("a:1", 2, 2), ("a:1", 2, -1)]
)
def test_bad_input_is_one_clear_error(address, processes, rank):
    with pytest.raises(ValueError, match=f"found {address!r}, rank {rank} of {processes}"):
        rendezvous(address, processes, rank, timeout=1)


def test_a_process_that_is_alone_stays_alone():
    assert not initialize(environ={})
    assert not initialize(environ={"JNN_COORDINATOR": "127.0.0.1:1", "JNN_PROCESSES": "1", "JNN_PROCESS": "0"})


@pytest.mark.parametrize(
    "environ",
    [
        {"JNN_PROCESS": "0"},
        {"JNN_COORDINATOR": "127.0.0.1:1", "JNN_PROCESSES": "two", "JNN_PROCESS": "0"},
    ],
)
def test_variables_that_mean_nothing(environ):
    with pytest.raises(ValueError, match="expected JNN_COORDINATOR=HOST:PORT"):
        initialize(environ=environ)
