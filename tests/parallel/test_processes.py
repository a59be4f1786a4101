"""Two processes, each with its own rows, are one."""

import os
import socket
import subprocess
import sys

import numpy as np

from tests.parallel.two import losses


def test_two_processes_are_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    start = lambda rank: subprocess.Popen(
        [sys.executable, "-m", "tests.parallel.two", str(rank), str(port)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    both = [start(rank) for rank in range(2)]
    try:
        found = [list(map(float, process.communicate(timeout=120)[0].splitlines()[-1].split())) for process in both]
    finally:
        for process in both:
            process.kill()
            process.communicate()
    expected = losses(lambda batch: batch)
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-5)
