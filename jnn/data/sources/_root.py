"""Where data lies: an explicit directory, else `$JNN_DATA`, else `~/.cache/jnn`.

Law: a missing file is one line that says which file, where it was looked for, and how to get it.
"""

from __future__ import annotations

import os
from pathlib import Path

PathLike = str | os.PathLike[str]


def data_root(data_dir: PathLike | None = None) -> Path:
    """The data directory: `data_dir` if given, else `$JNN_DATA`, else `~/.cache/jnn`.

    >>> data_root("/data").name
    'data'
    """
    return Path(data_dir or os.environ.get("JNN_DATA") or "~/.cache/jnn").expanduser()


def check_part(name: str, part: str) -> None:
    """Raises ValueError unless a data set of two parts is asked for one of them."""
    if part not in ("train", "test"):
        raise ValueError(f"{name}: part is 'train' or 'test', found {part!r}.")


def find(data_dir: PathLike | None, name: str, *, how: str) -> Path:
    """The path of one file or folder below the data directory, which must exist.

    Args:
      data_dir: as for `data_root`.
      name: the file, relative to the data directory; `a.gz` is also found unpacked, as `a`. A folder ends with "/".
      how: what to do about a missing file, in half a sentence.

    Raises:
      FileNotFoundError: one line with the file, the directory and `how`.

    >>> find("/nowhere", "mnist/labels.gz", how="put it there")
    Traceback (most recent call last):
    FileNotFoundError: mnist/labels.gz: not found in ...nowhere (--data-dir, else $JNN_DATA, else ~/.cache/jnn);
    put it there, or pass --data-dir.
    """
    root, exists = data_root(data_dir), Path.is_dir if name.endswith("/") else Path.is_file
    for candidate in (root / name, root / name.removesuffix(".gz")):
        if exists(candidate):
            return candidate
    raise FileNotFoundError(
        f"{name}: not found in {root} (--data-dir, else $JNN_DATA, else ~/.cache/jnn); {how}, or pass --data-dir."
    )
