"""The wish of the machine to end a run: SIGTERM, on one process or on any of several.

    with Preemption() as preemption:
        for step in ...:
            ...
            if preemption.reached():
                save, and raise Preempted(step)

The signal only sets a flag, so the step that is under way is finished. Several processes agree on the call by JAX's
preemption sync point, which takes SIGTERM over when `jax.distributed` is initialised.
"""

from __future__ import annotations

import itertools
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

import jax
from jax.experimental import multihost_utils

# JAX's sync point is the next number after those that the processes are at, and reached by equality alone: so calls are
# counted, through all runs of a process, and not steps, which may advance by several or begin again.
_calls = itertools.count(1)


class Preempted(SystemExit):
    """Preemption of a process whose run was saved: ends it with the code of one ended by SIGTERM, 143."""

    def __init__(self, step: int) -> None:
        super().__init__(128 + signal.SIGTERM)
        self.step = step

    def __str__(self) -> str:
        return f"ended by SIGTERM at step {self.step}, which is saved; start the same command again to go on"


class Preemption:
    """Preemption: listens for SIGTERM while it is entered; elsewhere than in the main thread it never hears one."""

    def __init__(self) -> None:
        self._heard = threading.Event()

    def __enter__(self) -> Self:
        self._before = None
        if threading.current_thread() is threading.main_thread() and jax.process_count() == 1:
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def reached(self) -> bool:
        """Whether to stop now: the same answer on every process, each of which has to ask equally often."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(next(_calls)):
            self._heard.set()
        return self._heard.is_set()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._heard.set()
