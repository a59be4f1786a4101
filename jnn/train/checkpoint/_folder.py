"""A folder of checkpoints as it is on the disk, where nobody has to trust it.

steps(folder) -> [10, 20, ...]          whole ones, by name
check_own(folder)                       raises where other people's folders have the names of steps
plain_name(folder) -> context of path   the folder by a name that Orbax and TensorStore take as it is
read_body(step_folder) -> body          the manifest, or `CorruptCheckpoint`
metrics(step_folder) -> metrics         of the manifest, none of a damaged one
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jnn.strict_json import loads
from jnn.train.checkpoint._manifest import FORMAT, Body, CorruptCheckpoint, unseal

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


def read_body(folder: Path) -> Body:
    """The body of a checkpoint's manifest.

    Raises:
      Damaged: it is missing, torn, changed, or of another version.
    """
    path = folder / "manifest" / "metadata"
    if not any(folder.iterdir()):
        raise CorruptCheckpoint("its folder is empty")
    try:
        body = unseal(loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CorruptCheckpoint("its manifest is missing") from None
    except ValueError as error:  # no UTF-8, no JSON
        raise CorruptCheckpoint(f"its manifest cannot be read: {error}") from error
    if body.get("format") != FORMAT:
        raise CorruptCheckpoint(f"its manifest has format {body.get('format')}, this version of jnn reads {FORMAT}")
    return body


def metrics(folder: Path) -> dict[str, float]:
    """The metrics of a checkpoint; none of a damaged one."""
    try:
        return read_body(folder)["metrics"]
    except CorruptCheckpoint:
        return {}


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
