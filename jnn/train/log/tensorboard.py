"""Rows of a history as TensorBoard events.

    log = TensorBoardLog(folder)      every number of a row, but its step, is a scalar under its own name

Laws: a row is in a file when the call returns; a row replaces that of its step and all later ones, so that a
resumed run has each row once. What was written stays written: the events begin with the note, which TensorBoard
heeds, that all earlier ones from that step on are void.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jnn.optional import optional
from jnn.train._history import Row


class TensorBoardLog:
    """TensorBoard events of rows; needs the extra `tensorboard`.

    The records and their checksums are written by tensorboardX.

    Args:
      folder: of the events alone, one a run; created if missing.

    Raises:
      ImportError: tensorboardX is not installed; one line with the command that installs it.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with TensorBoardLog(folder) as log:
    ...     log({"step": 1, "train/loss": 0.5})
    >>> [path.name for path in Path(folder).iterdir()]
    ['events.out.tfevents.0000000001.jnn']
    """

    def __init__(self, folder: str | Path) -> None:
        self._events = optional("tensorboardX.proto.event_pb2", "tensorboard")
        self._records = optional("tensorboardX.record_writer", "tensorboard")
        self._folder = Path(folder).absolute()  # wherever the program goes
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file: Any = None
        self._last = math.inf  # whatever the folder holds, the first row begins a file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __call__(self, row: Row) -> None:
        """Writes one row, in place of those of its step and after."""
        step = int(row["step"])
        if step <= self._last:
            self._begin(step)
        event = self._events.Event(wall_time=time.time(), step=step)
        for name, value in row.items():
            if name != "step":
                event.summary.value.add(tag=name, simple_value=float(value))
        self._file.write(event.SerializeToString())
        self._file.flush()
        self._last = step

    def close(self) -> None:
        """Closes the file; a later row would begin another."""
        if self._file is not None:
            self._file.close()
        self._file, self._last = None, math.inf

    def _begin(self, step: int) -> None:
        """A new file, read after all others, that voids their events from this step on."""
        self.close()
        numbers = [int(path.name.split(".")[3]) for path in self._folder.glob("events.out.tfevents.*.jnn")]
        self._file = self._records.RecordWriter(
            str(self._folder / f"events.out.tfevents.{max(numbers, default=0) + 1:010d}.jnn")
        )
        event = self._events
        start = event.SessionLog(status=event.SessionLog.START)
        for first in (
            event.Event(wall_time=time.time(), file_version="brain.Event:2"),
            event.Event(wall_time=time.time(), step=step, session_log=start),
        ):
            self._file.write(first.SerializeToString())
