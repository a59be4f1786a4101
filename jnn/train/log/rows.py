"""The rows of a run in a file of JSON lines, which outlives the process that writes it.

    with RowLog(folder, steps=1000) as log: log(row)   `metrics.jsonl`, and `status.json` beside it
    read_rows(path) -> history                         the same rows again, also while they are written
    read_status(path) -> {"state": ..., ...}           whether the run goes on, and how it ended

Laws: a row is in the file when the call returns; a row replaces that of its step and all later ones,
so that a resumed run has each row once; what a killed process left of a line is no row.
"""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jnn.files import naming, whole_lines, write_whole
from jnn.strict_json import dumps, loads
from jnn.train._history import History, Row

ROWS, STATUS = "metrics.jsonl", "status.json"
STATES = ("running", "finished", "stopped", "failed")


class RowLog:
    """Writes rows of a history to `metrics.jsonl`, and to `status.json` how the run ended.

    Args:
      folder: of the run; created if missing. Rows that it holds are gone on with.
      steps: how many steps the run is to have, for whoever reads the status.

    Raises:
      ValueError: the folder's `metrics.jsonl` is damaged before its last line.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with RowLog(folder) as log:
    ...     log({"step": 1, "train/loss": 0.5})
    ...     log({"step": 2, "train/loss": 0.4})
    >>> with RowLog(folder) as log:  # resumed at step 1
    ...     log({"step": 2, "train/loss": 0.3})
    >>> read_rows(Path(folder) / "metrics.jsonl")
    [{'step': 1, 'train/loss': 0.5}, {'step': 2, 'train/loss': 0.3}]
    """

    def __init__(self, folder: str | Path, *, steps: int | None = None) -> None:
        folder = Path(folder).absolute()  # wherever the program goes
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / ROWS
        self._path, self._status, self._steps = path, folder / STATUS, steps
        path.touch()
        rows, self._ends = _parse(path)
        self._file = path.open("ab")  # every write goes to the end, also after a cut
        self._file.truncate(self._ends[-1] if rows else 0)  # what a killed process left of a line
        self._at = [row["step"] for row in rows]

    def __enter__(self) -> Self:
        self._tell("running")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if error is None:
            self._tell("finished")
            return
        with contextlib.suppress(OSError):  # such as a full disk, which is then the error
            if isinstance(error, Exception):
                self._tell("failed", f"{type(error).__name__}: {error}")
            else:  # an interrupt, or a signal that ends the process
                self._tell("stopped", str(error))

    def __call__(self, row: Row) -> None:
        """Writes one row, in place of those of its step and after.

        Raises:
          ValueError: the row has no `step`, or values that are not plain numbers.
        """
        _check(row)
        line = dumps(row).encode() + b"\n"
        while self._at and self._at[-1] >= row["step"]:
            self._at.pop()
            self._ends.pop()
        end = self._ends[-1] if self._ends else 0
        with naming(self._path):
            self._file.truncate(end)
            self._file.write(line)
            self._file.flush()
        self._at.append(row["step"])
        self._ends.append(end + len(line))

    def _tell(self, state: str, note: str = "") -> None:
        """The status, whole or not at all: it may be read at any time."""
        write_whole(self._status, dumps({"state": state, "steps": self._steps, "note": note}))


def read_rows(path: str | Path) -> History:
    """The whole rows of a `metrics.jsonl`; a last line without an end is being written, or never was.

    Raises:
      ValueError: a line that is not a row, by number.
      FileNotFoundError: there is no such file.
    """
    return _parse(Path(path))[0]


def read_status(path: str | Path) -> dict[str, Any]:
    """What a `status.json` says: {"state", "steps", "note"}; that of a running run where there is no file.

    Raises:
      ValueError: the file is not a status.

    >>> read_status("no/such/status.json")
    {'state': 'running', 'steps': None, 'note': ''}
    """
    unknown = {"state": "running", "steps": None, "note": ""}
    try:
        found = loads(Path(path).read_bytes())
    except FileNotFoundError:
        return unknown
    except ValueError as error:
        raise ValueError(f"{path}: expected the status of a run in JSON: {error}. Delete the file.") from error
    if not isinstance(found, dict) or found.keys() != unknown.keys() or not _is_status(**found):
        raise ValueError(
            f'{path}: expected a JSON object such as {{"state": "running", "steps": 900, "note": ""}}. Delete the file.'
        )
    return found


def row_of(line: bytes, where: str) -> Row:
    """The row of a line.

    Raises:
      ValueError: it holds none; names the place.
    """
    try:
        row = loads(line)
        _check(row)
    except ValueError as error:
        raise ValueError(
            f'{where} is not a row such as {{"step": 100, "train/loss": 0.5}}. Restore the file, or move it away and '
            "begin another."
        ) from error
    return row


def _is_status(state: Any, steps: Any, note: Any) -> bool:
    known = steps is None or (_is_number(steps) and math.isfinite(steps))
    return isinstance(state, str) and state in STATES and known and isinstance(note, str)


def _is_number(x: Any) -> bool:
    """Whether a float holds it: an integer may have any number of digits."""
    return isinstance(x, float) or (isinstance(x, int) and abs(x) <= sys.float_info.max)


def _check(row: Any) -> None:
    if not isinstance(row, dict) or not _is_number(row.get("step")):
        raise ValueError(f"RowLog: a row needs a number 'step', found {row}.")
    if not math.isfinite(row["step"]):
        raise ValueError(f"RowLog: expected a finite step, found {row['step']}.")
    if bad := [f"{name!r}, a {type(x).__name__}" for name, x in row.items() if not _is_number(x)]:
        raise ValueError(f"RowLog: a row holds plain numbers, found {'; '.join(bad)}. Convert: float(x).")


def _parse(path: Path) -> tuple[History, list[int]]:
    """The rows, and the offset at which each one's line ends."""
    rows: History = []
    ends: list[int] = []
    for number, line in enumerate(whole_lines(path), 1):
        rows.append(row_of(line, f"{path}: line {number}"))
        ends.append(len(line) + 1 + (ends[-1] if ends else 0))
    return rows, ends
