"""Processes with the variables of Slurm and of Open MPI: where they meet, that they do, and who is missing if not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jnn.launch._cluster import Meeting, meeting
from jnn.launch._supervise import free_port

ROOT = Path(__file__).parents[2]
JOB = 987_654
SLURM = {"SLURM_JOB_ID": f"{JOB}", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "4", "SLURM_PROCID": "2"}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": f"{JOB * 4096}.0;tcp://127.0.0.1,10.0.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "2",
}


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("node001", "node001"),
        ("node001,host2", "node001"),
        ("node[001-0015],host2", "node001"),
        ("node[007,009-015]", "node007"),
        ("rack[2,5]node[3-4],other", "rack2node3"),
        ("a-b.cluster,a-c.cluster", "a-b.cluster"),
    ],
)
def test_slurm_meets_on_the_first_node_of_the_step(nodes, host):
    found = meeting(SLURM | {"SLURM_STEP_NODELIST": nodes})
    assert found == Meeting(f"{host}:{61440 + JOB % 4096}", 4, 2)


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        (OPEN_MPI["OMPI_MCA_orte_hnp_uri"], "127.0.0.1"),
        (f"{JOB * 4096}.0;tcp6://[fe80::b9b,2620:10d::2]:43370;tcp://10.0.0.7:9", "10.0.0.7"),
    ],
)
def test_open_mpi_meets_on_the_machine_of_mpirun(uri, host):
    assert meeting(OPEN_MPI | {"OMPI_MCA_orte_hnp_uri": uri}) == Meeting(f"{host}:{61440 + JOB % 4096}", 4, 2)


def test_open_mpi_within_a_job_of_slurm_is_open_mpi():
    daemon = SLURM | {"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}
    assert meeting(daemon | OPEN_MPI) == meeting(OPEN_MPI)


@pytest.mark.parametrize("environ", [SLURM, OPEN_MPI], ids=["slurm", "open_mpi"])
def test_an_address_of_ones_own_comes_first(environ):
    assert meeting(environ | {"JAX_COORDINATOR_ADDRESS": "head:1"}) == Meeting("head:1", 4, 2)
    assert meeting(environ | {"JAX_COORDINATOR_PORT": "1234"}).coordinator.endswith(":1234")


@pytest.mark.parametrize(
    ("environ", "without"),
    [(SLURM, name) for name in SLURM] + [(OPEN_MPI, name) for name in OPEN_MPI],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_the_scheduler_does_not_say_is_left_to_jax(environ, without):
    assert meeting({name: value for name, value in environ.items() if name != without}) is None


PROGRAM = """
import jax
jax.config.update("jax_platforms", "cpu")
from jax.experimental import multihost_utils
from jnn.launch import initialize
print("here", flush=True)
input()  # until all of them are
assert initialize(timeout={timeout})
print("ranks", multihost_utils.process_allgather(jax.numpy.int32(jax.process_index())).tolist(), flush=True)
"""


def variables(scheduler, processes, rank, port):
    """What a scheduler says to one process of a job on this machine."""
    count = {"SLURM_NTASKS": f"{processes}", "SLURM_PROCID": f"{rank}", "SLURM_LOCALID": f"{rank}"}
    if scheduler == "open_mpi":
        count = {f"OMPI_COMM_WORLD_{name}": f"{rank}" for name in ("RANK", "LOCAL_RANK")}
        count["OMPI_COMM_WORLD_SIZE"] = f"{processes}"
    return (SLURM if scheduler == "slurm" else OPEN_MPI) | count | {"JAX_COORDINATOR_PORT": f"{port}"}


def outcomes(scheduler, processes, ranks, timeout):
    """(exit code, stdout, stderr) of these processes of a job."""
    port, here = free_port(), {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(timeout=timeout)],
            env=here | variables(scheduler, processes, rank, port),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "here\n"
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
        texts = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    return [(process.returncode, *text) for process, text in zip(started, texts, strict=True)]


@pytest.mark.parametrize("scheduler", ["slurm", pytest.param("open_mpi", marks=pytest.mark.slow)])
def test_processes_of_a_scheduler_join(scheduler):
    for code, out, err in outcomes(scheduler, 2, [0, 1], timeout=60):
        assert (code, out.splitlines()[-1:]) == (0, ["ranks [0, 1]"]), err


@pytest.mark.parametrize("scheduler", ["slurm", pytest.param("open_mpi", marks=pytest.mark.slow)])
def test_processes_that_never_come_are_named(scheduler):
    for code, _, err in outcomes(scheduler, 5, [0, 3], timeout=2):
        assert code == 1, err
        assert "TimeoutError: rendezvous: waited 2 s" in err
        assert "of 5 processes [1, 2, 4] never called" in err
