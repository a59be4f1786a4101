"""Files of a run that may be killed at any instant: written whole, under a name that is free, read up to the last end.

write_whole(path, text)        the old file or the new one, never half of one
free_name(path) -> path        the path itself, or the first of path-2, path-3, ... that is not taken
whole_lines(path) -> lines     without what a killed process left of a last one
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a file beside the old one, and puts it in its place; where that fails, nothing is left of it."""
    part = path.with_suffix(".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
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
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that have an end, without it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows"
    >>> _ = path.write_bytes(b"one\\ntwo\\nthr")
    >>> whole_lines(path)
    [b'one', b'two']
    """
    return path.read_bytes().split(b"\n")[:-1]
