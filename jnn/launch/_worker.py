"""One process of a job, as its launcher sees it: output, pulse, signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, TextIO

from jnn.launch._initialize import PULSE, STEP
from jnn.terminal import leave


class Worker:
    """A process, in a session of its own; its lines of output carry its rank.

    It is taken for hung after `silence` seconds without a pulse, once that was felt, and after `stall` seconds without
    a step, once there was one. It is `unread` if whoever read the launcher's output is gone; what it writes is dropped.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], rank: int, silence: float, stall: float
    ) -> None:
        self.rank, self.silence, self.stall = rank, silence, stall
        self._pulse, given = os.pipe()
        os.set_blocking(self._pulse, False)
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environ, PULSE: str(given)},
            pass_fds=(given,),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C reaches the launcher alone, which hands it on
        )
        os.close(given)
        self._heard: float | None = None  # when the pulse was last felt; a program that never joins has none
        self._stepped: float | None = None
        self.unread = False
        pairs = ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))
        self._echoes = [threading.Thread(target=self._echo, args=pair, daemon=True) for pair in pairs]
        for echo in self._echoes:
            echo.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.drain()
        os.close(self._pulse)

    def drain(self) -> None:
        """Returns when its last lines are written; at the latest after some seconds, for a child of it may live on."""
        for echo in self._echoes:
            echo.join(timeout=5.0)

    def signal(self, kind: signal.Signals) -> None:
        """SIGKILL to the process and all that it started; any other, to itself, which knows what to do with those."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if kind == signal.SIGKILL else os.kill)(self.process.pid, kind)

    def trouble(self) -> tuple[int, int, str] | None:
        """Rank, exit code and words, if it failed or fell silent."""
        code = self.process.poll()
        if code:
            return self.rank, code if code > 0 else 128 - code, f"ended with code {code}"
        if code is None and self.silent() > self.silence:
            return self.rank, 1, f"has given no sign of life for {self.silence:g} s"
        if code is None and self.stalled() > self.stall:
            return self.rank, 1, f"has begun no step for {self.stall:g} s"
        return None

    def silent(self) -> float:
        """Seconds since its pulse was felt; 0 before the first time."""
        self._feel()
        return 0.0 if self._heard is None else time.monotonic() - self._heard

    def stalled(self) -> float:
        """Seconds since it began a step; 0 before the first one."""
        self._feel()
        return 0.0 if self._stepped is None else time.monotonic() - self._stepped

    def _feel(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if signs := os.read(self._pulse, 65536):
                self._heard = time.monotonic()
                self._stepped = self._heard if STEP in signs else self._stepped

    def _echo(self, source: IO[bytes], target: TextIO | None) -> None:
        """Its lines, each behind its rank. They are read to their end, whatever becomes of them: it would block."""
        with source:
            for line in source:
                try:
                    write_line(target, b"[%d] %s\n" % (self.rank, line.rstrip()))
                except BrokenPipeError:
                    self.unread = True
                    leave(target)
                except (OSError, ValueError):  # a full disk may have room again
                    pass


def write_line(target: TextIO | None, line: bytes) -> None:
    """Writes a line in one piece: `print` writes its end by itself, and other members' lines come between.

    As bytes, where that is possible: the process knows its encoding, and this stream's may have fewer characters.
    """
    if target is None:
        return
    if hasattr(target, "buffer"):
        target.buffer.write(line)
        target.buffer.flush()
    else:
        target.write(line.decode(errors="replace"))
        target.flush()
