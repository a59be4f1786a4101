"""One run, one folder: a lock that the operating system releases however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

_held: set[TextIO] = set()


def _forget() -> None:
    """In a forked child: its copy of the file would keep the lock when the parent is gone."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_forget)


class Lock:
    """Holds `folder/lock` until released, or until the process ends.

    Raises:
      BlockingIOError: somebody holds it; names the process.
      OSError: the file cannot be opened for writing.

    >>> import tempfile
    >>> Lock(Path(tempfile.mkdtemp())).release()
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "that has not said its number yet"
            self._file.close()
            if holder == str(os.getpid()):
                raise BlockingIOError(
                    f"Checkpoints: {folder} is in use by this very process: an earlier Checkpoints of it was not "
                    "closed. Call its close(), or open it by `with Checkpoints(folder) as checkpoints:`."
                ) from error
            raise BlockingIOError(
                f"Checkpoints: {folder} is in use by process {holder}. Two runs in one folder would overwrite each "
                "other: end that one, or choose another folder."
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()
        _held.add(self._file)

    def release(self) -> None:
        """Lets others have the folder; a second time does nothing."""
        _held.discard(self._file)
        self._file.close()
