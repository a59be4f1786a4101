"""A file of rows that grows: read on from where it ended, its curves kept small.

    rows = GrowingRows(path)
    rows.read(at, until) -> whether the end was reached      what is new is `at` that look
    rows.curves, rows.last, rows.step

Law: whatever was done to the file, what is known of it is what a new reader would find: where anything before the
known end has changed, it is read anew.
"""

from __future__ import annotations

import math
import stat
import time
import zlib
from pathlib import Path
from typing import BinaryIO

from jnn.train.log._curve import Curve
from jnn.train.log.rows import row_of

LONGEST = 1 << 22  # bytes of a line: some forty thousand metrics
MOST = 1000  # metrics that are kept; the others are counted


class GrowingRows:
    """The curves of one `metrics.jsonl`.

    Args:
      path: of the file.

    Attributes:
      curves: metric -> its finite values.
      last: metric -> its latest number, as text where it is not finite.
      step: of the last row; 0 before the first.
      others: metrics beyond `MOST`, which are left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.last: dict[str, float | str] = {}
        self.others: set[str] = set()
        self.step: float = 0
        self._lines = self._end = self._sum = 0  # how many, where the last one ended, and the checksum up to there

    def read(self, at: int, until: float) -> bool:
        """Reads on; False if the time, of `time.monotonic`, is over before the end of the file is reached.

        Raises:
          ValueError: a line that is no row, or far too long, by number; those before it are known.
          OSError: the file cannot be read.
        """
        if not stat.S_ISREG(self._path.stat().st_mode):  # a pipe would keep a reader waiting
            raise OSError(f"{self._path} is not a file. Move it away.")
        with self._path.open("rb") as file:
            if _checksum(file, self._end) != self._sum:
                self._forget()
                file.seek(0)
            while (line := file.readline(LONGEST)).endswith(b"\n"):
                self._add(line, at)
                if time.monotonic() > until:
                    return False
        if len(line) == LONGEST:
            raise ValueError(f"{self._path}: line {self._lines + 1} is longer than {LONGEST:,} bytes. Move it away.")
        return True  # a line that has no end is being written

    def _add(self, line: bytes, at: int) -> None:
        row = row_of(line, f"{self._path}: line {self._lines + 1}")
        self._lines, self._end, self._sum = self._lines + 1, self._end + len(line), zlib.crc32(line, self._sum)
        self.step = row.pop("step")
        for metric, value in row.items():
            if metric not in self.curves and len(self.curves) == MOST:
                self.others.add(metric)
                continue
            curve = self.curves.setdefault(metric, Curve())
            self.last[metric] = value if (finite := math.isfinite(value)) else str(value)
            if finite:
                curve.add(self.step, value, at)


def _checksum(file: BinaryIO, size: int) -> int:
    """Of the first bytes; the file is then behind them, or at its end where there are fewer."""
    found = 0
    while size > 0 and (part := file.read(min(size, 1 << 20))):
        found, size = zlib.crc32(part, found), size - len(part)
    return found
