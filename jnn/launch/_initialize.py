"""How a process joins the others of its job, if there are any: the first thing that a program does with JAX.

    from jnn.launch import initialize
    if __name__ == "__main__":
        initialize()

`python -m jnn.launch` tells its processes where to meet by three variables; on Slurm and Open MPI the scheduler's own
say it, and elsewhere JAX finds it out by itself. A process that is alone stays alone, and nothing happens.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

import jax

from jnn.launch._cluster import Meeting, clustered, meeting
from jnn.launch._rendezvous import rendezvous

COORDINATOR, PROCESSES, PROCESS = "JNN_COORDINATOR", "JNN_PROCESSES", "JNN_PROCESS"
PULSE = "JNN_PULSE"  # a file descriptor: where the launcher listens for signs of life and for steps
LIFE, STEP = b".", b"s"
JOIN_SECONDS = 60.0
HEARTBEAT_SECONDS = 10  # after which JAX ends the others of a process that is silent; its own default is 100


def initialize(*, timeout: float = JOIN_SECONDS, environ: Mapping[str, str] = os.environ) -> bool:
    """Multi-process initialization: makes this process one of its job's, and returns whether there are several.

    Must come before anything is computed.

    Args:
      timeout: seconds to wait for the others.
      environ: the environment variables.

    Raises:
      TimeoutError: others did not come; names their ranks. (Where no address is known, as on Cloud TPU
        and Kubernetes, JAX's own time-out ends the process instead.)
      ValueError: only some of the three variables are set, or their values mean nothing.
    """
    if PULSE in environ:
        from jnn.train import watch  # by whoever trains: a launcher starts without all that training needs

        beat(int(environ[PULSE]))
        watch(lambda step, batch: pulse(int(environ[PULSE]), STEP))
    place = launched(environ)
    if not (clustered(environ) if place is None else place.processes > 1):
        return False
    if (place := place or meeting(environ)) is not None:
        rendezvous(*place, timeout=timeout)
    coordinator, processes, process = place or (None, None, None)  # None: JAX finds it out
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        initialization_timeout=int(timeout),
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
    return True


def launched(environ: Mapping[str, str]) -> Meeting | None:
    """What `python -m jnn.launch` says, if it was that which started this process."""
    given = {name: environ[name] for name in (COORDINATOR, PROCESSES, PROCESS) if name in environ}
    if not given:
        return None
    try:
        return Meeting(given[COORDINATOR], int(given[PROCESSES]), int(given[PROCESS]))
    except (KeyError, ValueError):
        raise ValueError(
            f"initialize: expected {COORDINATOR}=HOST:PORT, {PROCESSES}=COUNT and {PROCESS}=RANK, found {given}."
        ) from None


def beat(descriptor: int) -> None:
    """Tells the launcher every second that this interpreter runs; ends the process when the launcher is gone."""

    def follow() -> None:
        while True:
            pulse(descriptor, LIFE)
            time.sleep(1.0)

    threading.Thread(target=follow, name="pulse", daemon=True).start()


def pulse(descriptor: int, sign: bytes) -> None:
    """One sign to the launcher; without a launcher, the end."""
    try:
        os.write(descriptor, sign)
    except OSError:
        os._exit(1)
