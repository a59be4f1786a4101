"""What makes a batch in a thread, or in a worker process, and what a worker sends where there is no batch.

Law: a worker sends only what its run can read: arrays as they are, other values and exceptions once it has read them
back itself. Whatever else happens in it comes as one error with the worker's traceback; nothing waits for ever.

What is pickled here goes from a run to its own workers and back, as all that `multiprocessing` sends; no file is read.
"""

from __future__ import annotations

import threading
import traceback
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol

import jax
import numpy as np

from jnn.optional import optional


class Indexed(Protocol):
    """`Batches`, `Windows`, `SourceBatches`: a batch is a function of the step."""

    def __getitem__(self, step: int, /) -> Any: ...


class Make:
    """A function from a step to its batch."""

    def __init__(self, batches: Indexed) -> None:
        self._batches = batches

    def __call__(self, step: int) -> Any:
        return self._batches[int(step)]


class InWorker:
    """The same in a worker, where what goes wrong becomes a `Failure`: from the reading of the source on."""

    def __init__(self, batches: Indexed) -> None:
        self._batches: Indexed | None = batches

    def __getstate__(self) -> bytes:
        try:
            return bytes(optional("cloudpickle", "pipelines").dumps(self._batches))
        except Exception as error:  # whatever __getstate__ and __reduce__ of a source raise
            raise TypeError(
                f"ReadAhead: workers need batches that can be pickled, and {type(self._batches).__name__} cannot "
                f"({type(error).__name__}: {error}). Open files and locks in __getitem__, or use threads=."
            ) from error

    def __setstate__(self, packed: bytes) -> None:
        self._packed, self._batches, self._lock = packed, None, threading.Lock()

    def __call__(self, step: int) -> Any:
        try:
            with self._lock:
                if self._batches is None:  # here, where an exception has somebody to tell
                    self._batches, self._packed = ForkingPickler.loads(self._packed), b""
            batch = self._batches[int(step)]
            for value in jax.tree.leaves(batch):
                _check_sendable(value)
            return batch
        except BaseException as error:  # SystemExit, too, would leave the run waiting
            return Failure(int(step), error)


class Failure:
    """An exception of a worker, as text, and as itself if it can be sent.

    Args:
      step: of the batch that there is not.
      error: what was raised instead.
    """

    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.text = step, "".join(traceback.format_exception(error))
        self.summary = "".join(traceback.format_exception_only(error)).strip()
        self.packed = _packed(error)

    def error(self) -> Exception:
        """What the run raises."""
        if self.packed is not None:
            error: Exception = ForkingPickler.loads(self.packed)
            error.add_note(f"Raised in a worker of ReadAhead, for batch {self.step}:\n{self.text}")
            return error
        return RuntimeError(
            f"ReadAhead: batch {self.step} failed in a worker with {self.summary}\n\nIn the worker:\n{self.text}"
        )


def _packed(error: BaseException) -> bytes | None:
    """The exception in bytes that give it back, or None: many lose their arguments, and some cannot be read at all."""
    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        return None  # what ends a program, or a loop, in the worker would end it in silence elsewhere
    try:
        packed = bytes(ForkingPickler.dumps(error))
        again = ForkingPickler.loads(packed)
        return packed if type(again) is type(error) and str(again) == str(error) else None
    except BaseException:  # whatever its own methods raise
        return None


def _check_sendable(value: Any) -> None:
    """Raises unless a value of a batch comes back from bytes; arrays of numbers do."""
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        return
    try:
        ForkingPickler.loads(ForkingPickler.dumps(value))
    except BaseException as error:
        raise TypeError(
            f"ReadAhead: a batch holds a {type(value).__name__}, which a worker cannot send ({type(error).__name__}: "
            f"{error}). Make it an array, or use threads=."
        ) from error
