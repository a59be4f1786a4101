"""Files of a run that may be killed at any instant: written whole, under a name that is free, read up to the last end.

write_whole(path, text)        the old file or the new one, never half of one
writing(path) -> context       the same of bytes, as they come
naming(path) -> context        an error of the system names the file, as one of a full disk does not by itself
free_name(path) -> path        the path itself, or the first of path-2, path-3, ... that is not taken
whole_lines(path) -> lines     without what a killed process left of a last one
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, text: str) -> None:
    """Writes a file beside the old one, and puts it in its place.

    Raises:
      OSError: names the file; the old one is as it was.
    """
    with writing(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A binary file beside the old one, which takes its place when all is written.

    Raises:
      OSError: names the file; the old one is as it was.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x"
    >>> with writing(path) as file:
    ...     file.write(b"new"), path.exists()
    (3, False)
    >>> path.read_bytes()
    b'new'
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with naming(path), part.open("wb") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)  # half of a file may be what fills the disk
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file in whatever `OSError` does not.

    >>> with naming(Path("run/rows")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'run/rows'
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # one of a program's own words has no place for a name
            error.filename = error.filename or str(path)
        raise


def free_name(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3`, ... that is not taken.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "step-7").mkdir()
    >>> free_name(folder / "step-7").name, free_name(folder / "step-8").name
    ('step-7-2', 'step-8')
    """
    names = itertools.chain([path.name], (f"{path.name}-{n}" for n in itertools.count(2)))
    return next(path.with_name(name) for name in names if not os.path.lexists(path.with_name(name)))


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that have an end, without it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows"
    >>> _ = path.write_bytes(b"one\\ntwo\\nthr")
    >>> whole_lines(path)
    [b'one', b'two']
    """
    return path.read_bytes().split(b"\n")[:-1]
