"""A roll-call before the processes of a job join: who is missing is named, by rank.

    rendezvous("10.0.0.1:1234", 4, rank, timeout=60)

JAX's own join ends a process that waited in vain by an abort that Python cannot catch, and does not say for whom it
waited. This stands before it, on the coordinator's own port, which is free again when JAX takes it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time


def rendezvous(coordinator: str, processes: int, rank: int, *, timeout: float) -> None:
    """Returns when all ranks have called within `timeout` seconds; rank 0 listens at HOST:PORT, the others answer.

    Raises:
      TimeoutError: somebody did not call in time; names the missing ranks, on every process that did call.
      ValueError: the address is not HOST:PORT, the rank is not one of the processes', or two processes have it.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= rank < processes:
        raise ValueError(
            "rendezvous: expected HOST:PORT and a rank below the number of processes; found "
            f"{coordinator!r}, rank {rank} of {processes}."
        )
    deadline = time.monotonic() + timeout
    if rank == 0:
        _listen(host, int(port), processes, deadline, timeout)
    else:
        _call(host, int(port), rank, deadline, timeout)


def _listen(host: str, port: int, processes: int, deadline: float, timeout: float) -> None:
    """Rank 0: waits for the others, and tells all of them how it went."""
    with contextlib.ExitStack() as stack:
        allow_files(processes + 256)
        server = stack.enter_context(socket.create_server(("", port), backlog=processes, reuse_port=False))
        calls, missing, problem = [], set(range(1, processes)), ""
        while missing and not problem:
            if (call := _next(server, deadline)) is None:
                names = f"of {processes} processes {sorted(missing)} never called"
                problem = f"waited {timeout:.0f} s at {host}:{port}, and {names}"
            elif (rank := _rank(stack.enter_context(call), processes)) is not None:
                problem = "" if rank in missing else f"two processes have rank {rank}"
                missing.discard(rank)
                calls.append(call)
        for call in calls:
            call.settimeout(5.0)
            with contextlib.suppress(OSError):
                call.sendall(json.dumps(problem).encode() + b"\n")
                call.shutdown(socket.SHUT_WR)
                call.recv(1)  # the caller hangs up first, which leaves the port free here
    _raise(problem)


def _next(server: socket.socket, deadline: float) -> socket.socket | None:
    """Who calls next; None if nobody does in time."""
    while (left := deadline - time.monotonic()) > 0:
        server.settimeout(left)
        with contextlib.suppress(TimeoutError, ConnectionError):
            return server.accept()[0]
    return None


def _rank(call: socket.socket, processes: int) -> int | None:
    """Which rank calls; None for somebody else on this port, who is hung up on."""
    call.settimeout(2.0)
    with contextlib.suppress(OSError, ValueError):
        if 0 < (rank := int(call.makefile().readline(32))) < processes:
            return rank
    call.close()
    return None


def _call(host: str, port: int, rank: int, deadline: float, timeout: float) -> None:
    """The others: call until rank 0 listens, and wait for what it says."""
    answer = ""
    while not answer:
        if time.monotonic() > deadline + 5.0:  # rank 0 may have begun to wait later than this one
            raise TimeoutError(
                f"rendezvous: rank {rank} waited {timeout:.0f} s, and of all processes [0] never answered at "
                f"{host}:{port}. Look at its output, and whether this host can reach that address."
            )
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1.0) as call:
            call.settimeout(max(deadline - time.monotonic(), 0.0) + 5.0)
            call.sendall(f"{rank}\n".encode())
            answer = call.makefile().readline()
        if not answer:
            time.sleep(0.05)
    _raise(json.loads(answer))


def allow_files(count: int) -> None:
    """Lets this process have so many files open, if the machine does: each caller is one, and 1024 a common limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _raise(problem: str) -> None:
    if problem.startswith("two"):
        raise ValueError(f"rendezvous: {problem}. Give each process its own.")
    if problem:
        raise TimeoutError(f"rendezvous: {problem}. Look at their output, and whether they were started at all.")
