"""Several processes, each with its own rows, are one; and a run does not depend on how many there are."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from jnn.launch._supervise import free_port
from tests.launch.two import losses
from tests.programs import COMPILED

ENVIRON = COMPILED | {"JAX_PLATFORMS": "cpu"}


def test_two_processes_are_one():
    port = free_port()
    start = lambda rank: subprocess.Popen(
        [sys.executable, "-m", "tests.launch.two", str(rank), str(port)],
        stdout=subprocess.PIPE,
        env=ENVIRON,
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


SHARING = """
import jax
jax.config.update("jax_platforms", "cpu")
import numpy as np
import jnn
from jnn.launch import initialize
from jnn.parallel import layout, put_batch
initialize()
place = layout(jnn.models.mlp_spec((8, 16, 4)), "tensor=2")
put_batch({"x": np.full((8, 8), jax.process_index())}, place)
"""


def test_processes_that_hold_the_same_rows_are_not_asked_for_their_own(tmp_path):
    """Each would have others, and the devices would disagree in silence."""
    (tmp_path / "program.py").write_text(SHARING)
    command = [sys.executable, "-m", "jnn.launch", "-n", "2", "--devices", "1", "--restarts", "0", "--", sys.executable]
    environ = ENVIRON | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [*command, str(tmp_path / "program.py")], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "ValueError: put_batch: the devices of processes 0, 1 hold the same rows" in done.stderr


STEPS = 40


def run(folder, processes, devices):
    """What each process of a job has seen."""
    command = [sys.executable, "-m", "jnn.launch", "-n", f"{processes}", "--devices", f"{devices}", "--restarts", "0"]
    program = ["--", sys.executable, "-m", "tests.launch.invariant", f"{STEPS}", str(folder)]
    done = subprocess.run([*command, *program], env=ENVIRON, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process with one device."""
    (found,) = run(tmp_path_factory.mktemp("alone"), 1, 1)
    assert found["loss"][-1] < found["loss"][0] / 1.2
    assert len(set(found["mask"])) == STEPS
    assert len(set(found["examples"])) > STEPS / 2
    return found


slowly = lambda *values: pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("processes", "devices"), [(2, 1), slowly(4, 1), slowly(2, 4)])
def test_a_run_does_not_depend_on_the_number_of_processes(tmp_path, alone, processes, devices):
    """Initial values, examples and masks to the bit; what is left is the order of sums, here one per mille."""
    for found in run(tmp_path, processes, devices):
        for name in ("initial", "examples", "mask"):
            assert found[name] == alone[name], name
        np.testing.assert_allclose(found["loss"][0], alone["loss"][0], rtol=1e-6)
        np.testing.assert_allclose(found["loss"], alone["loss"], rtol=1e-3)
