"""The writing side: a state goes to Orbax, which makes a step visible only when it is whole.

    writer = Writer(folder, keep)
    writer.start(arrays, body)        copies, and returns before the files are written
    writer.wait()                     until they are; `OSError` says why they could not be

The next step donates the arrays' buffers, so they are in the host's memory before `start` returns. Orbax sees to that,
except on a CPU, where it would read the buffers themselves: there they are copied first. So until a save is written it
takes as much of the host's memory as the state, and what is on the way to the disk; of an accelerator's, that of the
arrays that have to grow (`_chunked`), which are few. A save that fails is told once, by the exception that `wait`
raises, and not by the threads that it failed in (`_with_quiet_threads`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jnn.terminal import in_one_line
from jnn.train._state import copy_buffers
from jnn.train.checkpoint._folder import plain_name, steps
from jnn.train.checkpoint._keep import Keep
from jnn.train.checkpoint._load import check_readable
from jnn.train.checkpoint._manifest import Body, metrics, seal
from jnn.train.checkpoint._quarantine import discard_half
from jnn.train.checkpoint._stored import CHUNK_BYTES, as_stored, divisible, is_divisible, stored_name

FILE_BYTES = 2**28  # of a data file, which TensorStore gathers in memory before it writes; its own default is 2 GiB
ADVICE = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room there") | dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "Get the permission to write there"
)
ORBAX = str(Path(ocp.__file__).parent)
Hook = Callable[[Any], Any]


class Writer:
    """Orbax's manager of a folder, made for the first save: it would write into a folder that is only read.

    Args:
      folder: of the run.
      keep: which steps stay.

    Attributes:
      forbidden: why nothing can be written there, if that is known.
    """

    def __init__(self, folder: Path, keep: Keep) -> None:
        self._folder = folder
        self._keep = keep
        self.forbidden: OSError | None = None
        self._manager: ocp.CheckpointManager | None = None
        self._started: Body | None = None
        self._while_open = contextlib.ExitStack()

    def start(self, arrays: Mapping[str, Any], body: Body) -> None:
        """Starts to write the arrays and the manifest, as one unit; the arrays may be donated when this returns.

        What was started before must be written: `wait()`.

        Raises:
          OSError: they could not be written.
        """
        stored, chunks = {}, {}
        for path, x in arrays.items():
            if x.size:  # Orbax refuses arrays without elements: they are in the manifest alone
                stored[stored_name(path)], chunks[stored_name(path)] = _chunked(x)
        args = ocp.args.Composite(
            state=ocp.args.PyTreeSave(stored, save_args=chunks, ocdbt_target_data_file_size=FILE_BYTES),
            manifest=ocp.args.JsonSave(seal(body)),
        )
        with self._told_once(body["step"]):
            self._open().save(body["step"], args=args, force=True)
        self._started = body
        self._keep.metrics[body["step"]] = body["metrics"]

    def wait(self) -> None:
        """Returns when everything is written, and the first process has seen that it can be read.

        Raises:
          OSError: it could not be, or cannot.
        """
        if self._manager is None or self._started is None:
            return
        body, self._started = self._started, None
        with self._told_once(body["step"]):
            self._manager.wait_until_finished()
            if jax.process_index() == 0:
                check_readable(self._folder / str(body["step"]), body)

    def look_again(self) -> None:
        """To be called when steps were moved away."""
        if self._manager is not None:
            self._manager.reload()

    def close(self) -> None:
        """Lets go of Orbax's threads; the next save would begin anew."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None
        self._while_open.close()

    def _open(self) -> ocp.CheckpointManager:
        if self.forbidden is not None:
            raise self.forbidden
        if self._manager is None:
            for step in steps(self._folder):
                self._keep.metrics[step] = metrics(self._folder / str(step))
            self._while_open.close()
            self._while_open.enter_context(_with_quiet_threads())
            name = self._while_open.enter_context(plain_name(self._folder))
            options = ocp.CheckpointManagerOptions(preservation_policy=self._keep, create=False)
            self._manager = ocp.CheckpointManager(name, options=options)
        return self._manager

    @contextlib.contextmanager
    def _told_once(self, step: int) -> Iterator[None]:
        """The one error for all that can go wrong while writing; the next save begins with a new manager."""
        try:
            yield
        except Exception as error:  # Orbax's and TensorStore's are of every kind
            self._manager = None
            if jax.process_index() == 0:
                discard_half(self._folder, step)  # it may be what fills the disk
            unwritten = OSError(self._message(step, error))
            unwritten.errno = _number(error)
            raise unwritten from (error if unwritten.errno is None else None)

    def _message(self, step: int, error: Exception) -> str:
        number = _number(error)
        cause = in_one_line(error) if number is None else os.strerror(number)
        advice = ADVICE.get(number or 0, "Look after its disk, or choose another folder")
        ended = "" if jax.process_count() == 1 else ", or see whether another process of this job has ended"
        whole = [held for held in steps(self._folder) if held != step] if self._folder.is_dir() else []
        rest = f"the steps {whole} are there, as they were" if whole else "there is no other step in it"
        return f"Checkpoints: could not write step {step} to {self._folder}: {cause}. {advice}{ended}; {rest}."


def _number(error: Exception) -> int | None:
    """The operating system's number of an error, which TensorStore gives as text."""
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)


def _chunked(x: Any) -> tuple[jax.Array, ocp.SaveArgs]:
    """An array that no step can change, and how it is cut into chunks: so that it can be read piece by piece.

    One that is on no mesh grows until its axes can be cut; of one that is, a shard that cannot is a chunk.
    """
    x = as_stored(x)
    part = x.sharding.shard_shape(x.shape) if isinstance(x, jax.Array) else x.shape
    if x.nbytes > CHUNK_BYTES and part == x.shape and not is_divisible(part):
        grown = [(0, new - old) for old, new in zip(x.shape, divisible(x.shape), strict=True)]
        return jnp.pad(x, grown), ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES)
    kept = copy_buffers(x) if _in_host_memory(x) else x
    return kept, ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES if is_divisible(part) else None)


def _in_host_memory(x: Any) -> bool:
    """Whether the host reads the buffer itself, and no copy of it."""
    return not isinstance(x, jax.Array) or next(iter(x.devices())).platform == "cpu"


@contextlib.contextmanager
def _with_quiet_threads() -> Iterator[None]:
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
