"""How a process joins the others of its job, if there are any: the first thing that a program does with JAX.

    from jnn.parallel import join
    if __name__ == "__main__":
        join()

`python -m jnn.launch` tells its processes where to meet by three variables; on Slurm, Open MPI, Cloud TPU and
Kubernetes JAX finds that out by itself. A process that is alone stays alone, and nothing happens.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

import jax

from jnn.parallel.rollcall import roll_call

COORDINATOR, PROCESSES, PROCESS = "JNN_COORDINATOR", "JNN_PROCESSES", "JNN_PROCESS"
PULSE = "JNN_PULSE"  # a file descriptor: where the launcher listens for signs of life
JOIN_SECONDS = 60.0
HEARTBEAT_SECONDS = 10  # after which JAX ends the others of a process that is silent; its own default is 100


def join(*, timeout: float = JOIN_SECONDS, environ: Mapping[str, str] = os.environ) -> bool:
    """Makes this process one of its job's; whether there is a job of several.

    Must come before anything is computed.

    Args:
      timeout: seconds to wait for the others.
      environ: the environment variables.

    Raises:
      TimeoutError: others did not come; names their ranks. (On a cluster, where JAX finds the others itself, its own
        time-out ends the process instead.)
      ValueError: only some of the three variables are set, or their values mean nothing.
    """
    given = {name: environ[name] for name in (COORDINATOR, PROCESSES, PROCESS) if name in environ}
    if PULSE in environ:
        beat(int(environ[PULSE]))
    if not given:
        if not clustered(environ):
            return False
        jax.distributed.initialize(initialization_timeout=int(timeout), heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
        return True
    try:
        coordinator, processes, process = given[COORDINATOR], int(given[PROCESSES]), int(given[PROCESS])
    except (KeyError, ValueError):
        raise ValueError(
            f"join: expected {COORDINATOR}=HOST:PORT, {PROCESSES}=COUNT and {PROCESS}=RANK, found {given}."
        ) from None
    if processes == 1:
        return False
    roll_call(coordinator, processes, process, timeout=timeout)
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        initialization_timeout=int(timeout),
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
    return True


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


def beat(descriptor: int) -> None:
    """Tells the launcher every second that this interpreter runs; ends the process when the launcher is gone."""

    def follow() -> None:
        while True:
            try:
                os.write(descriptor, b".")
            except OSError:
                os._exit(1)
            time.sleep(1.0)

    threading.Thread(target=follow, name="pulse", daemon=True).start()
