"""A job of several processes on this machine, watched: all live, or all are ended and begin again.

    supervise(["python", "-m", "experiments.digits"], LaunchConfig(processes=4)) -> exit code

Laws: no process outlives the job, whatever ended it; a process that died, stopped or fell silent is noticed within
`silence` seconds; a job that began again goes on from its last whole checkpoint, since it is the same command. A
process that ends with code 2 says that its command line is wrong, as argparse and the experiments do: that job does not
begin again, for the same command would end in the same way. Where nobody reads the job's output any more (`| head`), it
ends as by SIGTERM.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from jnn.backend import make_deterministic
from jnn.launch._initialize import COORDINATOR, PROCESS, PROCESSES
from jnn.launch._worker import Worker
from jnn.terminal import say

Report = Callable[[str], None]
PREEMPTED = 128 + signal.SIGTERM
UNREAD = 128 + signal.SIGPIPE  # as a shell says of a program whose reader is gone
USAGE = 2  # what argparse ends a process with, and Python itself, where it was called wrongly
LONGEST = 24 * 3600.0  # seconds between two attempts


def to_stderr(line: str) -> None:
    """The default of `report`."""
    say(f"jnn.launch: {line}")


@dataclasses.dataclass(frozen=True)
class LaunchConfig:
    """Launch configuration: how a job is run.

    Attributes:
      processes: how many.
      devices: CPU devices of each; None for what JAX finds.
      restarts: how often the job begins again after a failure.
      backoff: seconds before the first time; twice as long before each further one, a day at most.
      silence: seconds without a sign of life after which a process that has joined is taken for hung.
      stall: seconds without a step of `fit` after which one that has begun its first is; what lies between two counts,
        such as a compilation, an evaluation, the end of a run.
      grace: seconds that processes have to end by themselves after SIGTERM, before SIGKILL; one
        at most where another has failed, for which they would wait.
    """

    processes: int
    devices: int | None = None
    restarts: int = 3
    backoff: float = 1.0
    silence: float = 12.0
    stall: float = math.inf
    grace: float = 30.0

    def __post_init__(self) -> None:
        # written so that NaN, which compares with nothing, is refused
        if self.processes < 1 or self.restarts < 0 or not (self.backoff >= 0 and self.grace >= 0):
            raise ValueError(f"Job: expected at least 1 process, and no number below 0; found {self}.")
        if self.devices is not None and self.devices < 1:
            raise ValueError(f"Job: expected at least 1 device, or None for what JAX finds; found {self}.")
        if self.backoff > LONGEST:
            raise ValueError(f"Job: expected a backoff of at most {LONGEST:g} seconds, a day; found {self}.")
        if not (self.silence >= 2 and self.stall >= 2):
            raise ValueError(f"Job: expected silence and stall of at least 2 seconds; found {self}.")


def supervise(command: Sequence[str], job: LaunchConfig, *, report: Report = to_stderr) -> int:
    """Runs a command in every process of a job until all have ended well, or it failed too often.

    Returns:
      0; 143 after SIGTERM, which is handed on; 141 where the output is read no more; else the code of the process that
      failed first.

    Raises:
      ValueError: the command cannot be started at all.
    """
    pause = job.backoff
    with told_to_end() as ended:
        for attempt in range(job.restarts + 1):
            code = _run(command, job, ended, report)
            if code == 0 or ended.is_set():
                return code
            if code == USAGE:
                report("does not begin again: code 2 says that the command line is wrong")
                return code
            if attempt < job.restarts:
                report(f"begins again in {pause:g} s ({attempt + 1} of {job.restarts} times)")
                if ended.wait(pause):
                    return PREEMPTED
                pause = min(2 * pause, LONGEST)
    report(f"failed {job.restarts + 1} times; the last code was {code}")
    return code


@contextlib.contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT, or the end of the terminal sets, meanwhile."""
    event = threading.Event()
    kinds = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as `nohup` has it
        kinds.append(signal.SIGHUP)
    before = [signal.signal(kind, lambda number, frame: event.set()) for kind in kinds]
    try:
        yield event
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _run(command: Sequence[str], job: LaunchConfig, ended: threading.Event, report: Report) -> int:
    """One attempt: the exit code of the job."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker) for worker in _start(command, job)]
        while True:
            alive = any(worker.process.poll() is None for worker in workers)
            if ended.is_set():
                report("ends: SIGTERM is handed on")
                _end(workers, job.grace)
                codes = [worker.process.returncode for worker in workers]
                return 0 if not any(codes) else PREEMPTED
            if any(worker.unread for worker in workers):
                report("ends: its output is read no more")
                ended.set()  # and does not begin again
                _end(workers, job.grace)
                return UNREAD
            stalled = sorted(workers, key=Worker.stalled, reverse=True)  # the first is who the others wait for
            if (failed := next(filter(None, (worker.trouble() for worker in stalled)), None)) is not None:
                rank, code, why = failed
                report(f"process {rank} {why}; {_hung(workers, rank)}the others are ended")
                _end(workers, min(job.grace, 1.0))  # what they wait for will not come
                return code
            if not alive:
                for worker in workers:
                    worker.drain()
                return UNREAD if any(worker.unread for worker in workers) else 0
            time.sleep(0.05)


def _start(command: Sequence[str], job: LaunchConfig) -> Iterator[Worker]:
    """The processes, one after another, and where they meet."""
    address = f"127.0.0.1:{free_port()}"
    for rank in range(job.processes):
        environ = {COORDINATOR: address, PROCESSES: str(job.processes), PROCESS: str(rank)}
        environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "")
        make_deterministic(environ)
        if job.devices is not None:
            environ["JAX_NUM_CPU_DEVICES"] = str(job.devices)
        try:
            worker = Worker(command, environ, rank, job.silence, job.stall)
        except OSError as error:
            raise ValueError(
                f"supervise: {command[0]!r} cannot be started ({error.strerror}). Give a program that can be run, such "
                "as: python -m experiments.digits"
            ) from error
        yield worker


def _hung(workers: Sequence[Worker], failed: int) -> str:
    """Who else was silent: where JAX ends those that waited for a hung process, they are the first to be seen."""
    quiet = [(m.rank, m.silent()) for m in workers if m.rank != failed and m.process.poll() is None]
    return "".join(f"process {rank} was silent for {seconds:.0f} s; " for rank, seconds in quiet if seconds > 3)


def _end(workers: Sequence[Worker], grace: float) -> None:
    """SIGTERM to all, and SIGKILL to those that are still there after the grace."""
    for worker in workers:
        worker.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(worker.process.poll() is None for worker in workers):
        time.sleep(0.05)
    for worker in workers:
        worker.signal(signal.SIGKILL)
        worker.process.wait()


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
