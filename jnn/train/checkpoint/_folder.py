"""A folder of checkpoints: whose it is, what it holds, and by what name Orbax takes it.

Lock(folder)                            one run, one folder; the operating system releases it however the process ends
steps(folder) -> [10, 20, ...]          whole ones, by name
check_own(folder)                       raises where other people's folders have the names of steps
is_there(folder, steps, body)           whether this very checkpoint is; raises where another one is in its way
plain_name(folder) -> context of path   the folder by a name that Orbax and TensorStore take as it is
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from jnn.train.checkpoint._manifest import Body, CorruptCheckpoint, OtherFormat, read_body

STEP = re.compile(r"0|[1-9][0-9]*")
PLAIN = re.compile(r"[\w/.,=@+~#%() -]{,2000}")
OWN = {"manifest", "state", "_CHECKPOINT_METADATA", "commit_success.txt"}  # one of them is in every step, also in ruins
OPENED = Path("/proc/self/fd")  # where Linux has the folders that this process has opened, by number


def steps(folder: Path) -> list[int]:
    """The steps in a folder, oldest first: by number, whatever the clock said."""
    return sorted(int(path.name) for path in folder.iterdir() if STEP.fullmatch(path.name) and path.is_dir())


def check_own(folder: Path) -> None:
    """Raises ValueError where a folder with the name of a step holds something else, which would be deleted in time."""
    for step in steps(folder):
        names = {path.name for path in (folder / str(step)).iterdir()}
        if names and not names & OWN:
            raise ValueError(
                f"Checkpoints: {folder / str(step)} has the name of a step and is no checkpoint: it holds "
                f"{', '.join(sorted(names)[:3])}. Choose a folder of its own, such as {folder / 'checkpoints'}."
            )


@contextlib.contextmanager
def plain_name(folder: Path) -> Iterator[Path]:
    """A name of a folder that Orbax and TensorStore take as it is, while it is needed.

    Orbax looks for what it wrote by a glob of the whole path, in which [ ] * ? mean something, and takes "gs:" for a
    cloud; TensorStore takes a backslash for a slash, and only UTF-8; both add to a path that may be as long as it can
    be. Such a folder is opened, and named by its number.

    Args:
      folder: exists, and is absolute, without links and "..".

    Raises:
      OSError: it cannot be opened, or this system has no such names.
    """
    if PLAIN.fullmatch(str(folder)):
        yield folder
        return
    if not OPENED.is_dir():
        raise OSError(
            f"Checkpoints: expected letters, digits, spaces and .,=@+~#%()- in the path, found {str(folder)!r}. Choose "
            "another name: on this system nothing could be restored from there."
        )
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield OPENED / str(number)
    finally:
        os.close(number)


def is_there(folder: Path, held: Sequence[int], body: Body) -> bool:
    """Whether this very checkpoint is in the folder.

    Args:
      folder: of the checkpoints.
      held: their steps, oldest first.
      body: of the manifest of the one that is to be saved.

    Raises:
      ValueError: the folder holds something else that would be in its way.
    """
    step = body["step"]
    if step in held:
        try:
            if read_body(folder / str(step)) == body:
                return True
        except OtherFormat as problem:
            raise OtherFormat(f"Checkpoints.save: step {step} in {folder}: {problem}") from problem
        except CorruptCheckpoint as damage:
            raise ValueError(
                f"Checkpoints.save: {folder} holds a damaged step {step} ({damage}). Restore first, which sets it "
                "aside, or choose another folder."
            ) from damage
    if held and held[-1] >= step:
        raise ValueError(
            f"Checkpoints.save: expected a step after {held[-1]}, the newest in {folder}, found step {step}. "
            "Restore first and go on from there, or choose another folder."
        )
    return False


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
