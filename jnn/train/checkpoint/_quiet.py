"""A save that fails is told once, by the exception that `wait` raises, and not by the threads that it failed in.

with_quiet_threads() -> context        Orbax logs no failure of a thread while it lasts
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

Hook = Callable[[Any], Any]
ORBAX = str(Path(ocp.__file__).parent)


@contextlib.contextmanager
def with_quiet_threads() -> Iterator[None]:
    """While it lasts, Orbax's log is without the tracebacks of what it raises as well."""
    if not isinstance(sys.unraisablehook, _WithoutLateAnswers):
        sys.unraisablehook = _WithoutLateAnswers(sys.unraisablehook)  # for good: the answers come late
        logging.getLogger("asyncio").addFilter(_without_lost_tasks)
        warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning, r"sys|orbax\.|asyncio\.")
    log, told = logging.getLogger("absl"), _Told()
    log.addFilter(told)
    try:
        yield
    finally:
        log.removeFilter(told)


def _without_lost_tasks(record: logging.LogRecord) -> bool:
    """False of what asyncio says, whenever it clears up, of what a failed save has left that nobody waited for."""
    return not any(name in record.getMessage() for name in (ORBAX, " in OCDBT database "))


class _Told(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR or not record.pathname.startswith(ORBAX)


class _WithoutLateAnswers:
    """A hook: when a write fails Orbax closes its event loop, which TensorStore's threads then call in vain."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook

    def __call__(self, args: Any) -> None:  # Python has no public name for what it calls the hook with
        at = args.exc_traceback
        first = "" if at is None else at.tb_frame.f_code.co_name  # what a program runs into begins in the program
        if first != "call_soon_threadsafe" or str(args.exc_value) != "Event loop is closed":
            self._hook(args)
