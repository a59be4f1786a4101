"""Where the processes of a cluster's job meet, from the variables that its scheduler sets.

    meeting(os.environ) -> Meeting(coordinator="node01:61517", processes=16, process=3), or None

JAX's own detection knows the same, but waits before it tells: to call the roll first, one has to know the address
before. Laws: every process of a job gets one address; `JAX_COORDINATOR_ADDRESS` and `JAX_COORDINATOR_PORT` come first,
as they do in JAX; what a scheduler does not say in variables is None here, and left to JAX.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

PORTS = 61440, 4096  # the first and how many: above those that Linux hands out by itself


class Meeting(NamedTuple):
    """What `jax.distributed.initialize` takes first."""

    coordinator: str  # HOST:PORT of process 0
    processes: int
    process: int  # the number of this one


def clustered(environ: Mapping[str, str]) -> bool:
    """Whether a scheduler that JAX knows says that there are several processes.

    >>> clustered({"SLURM_NTASKS": "8", "SLURM_PROCID": "3"}), clustered({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"})
    (True, False)
    """
    more = lambda name: environ.get(name, "1").isdecimal() and int(environ.get(name, "1")) > 1
    return (
        ("SLURM_PROCID" in environ and more("SLURM_NTASKS"))
        or more("OMPI_COMM_WORLD_SIZE")
        or "," in environ.get("TPU_WORKER_HOSTNAMES", environ.get("TPU_PROCESS_ADDRESSES", ""))
        or more("MEGASCALE_NUM_SLICES")
        or ("JOB_COMPLETION_INDEX" in environ and "KUBERNETES_SERVICE_HOST" in environ)
    )


def meeting(environ: Mapping[str, str]) -> Meeting | None:
    """Address, count and rank on Slurm and on Open MPI before 5; None elsewhere, and where a variable is missing.

    Open MPI 5 names no address; Cloud TPU and Kubernetes are asked by JAX itself, over the network.

    >>> meeting({"SLURM_JOB_ID": "77", "SLURM_STEP_NODELIST": "n[07-09,12]", "SLURM_NTASKS": "4", "SLURM_PROCID": "3"})
    Meeting(coordinator='n07:61517', processes=4, process=3)
    """
    for processes, process, address in SCHEDULERS:
        if processes in environ and process in environ:
            coordinator = environ.get("JAX_COORDINATOR_ADDRESS") or address(environ)
            return None if coordinator is None else Meeting(coordinator, int(environ[processes]), int(environ[process]))
    return None


def _slurm(environ: Mapping[str, str]) -> str | None:
    """The first node of the job step; the port follows from the job's number."""
    nodes, job = environ.get("SLURM_STEP_NODELIST"), environ.get("SLURM_JOB_ID")
    if not nodes or not job:
        return None
    # rack[2,5]node[07-09],other -> rack2node07
    host = re.sub(r"\[([^],-]+)[^]]*\]", r"\1", nodes).split(",")[0]
    return f"{host}:{_port(environ, int(job))}"


def _open_mpi(environ: Mapping[str, str]) -> str | None:
    """The machine of mpirun, which runs process 0, by "NUMBER.0;tcp://FIRST,SECOND:PORT"."""
    found = re.match(r"(\d+)\..*?;tcp://([^,:]+)", environ.get("OMPI_MCA_orte_hnp_uri", ""))
    if found is None:
        return None
    return f"{found[2]}:{_port(environ, int(found[1]) // 4096)}"  # Open MPI counts its jobs in steps of 4096


def _port(environ: Mapping[str, str], job: int) -> str:
    return environ.get("JAX_COORDINATOR_PORT") or str(PORTS[0] + job % PORTS[1])


# how many, which one, where; a job of Open MPI within one of Slurm's has the variables of both, and is Open MPI's
SCHEDULERS: tuple[tuple[str, str, Callable[[Mapping[str, str]], str | None]], ...] = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", _open_mpi),
    ("SLURM_NTASKS", "SLURM_PROCID", _slurm),
)
