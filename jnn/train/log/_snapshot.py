"""What the live page shows: the runs of a folder as plain JSON values, small whatever their length.

    runs = Runs(folder, stalled_after)
    runs.since("") -> {"now": ..., "token": ..., "runs": [...]}      all of them
    runs.since(token) -> the same, of what has changed since the answer that held this token

Laws: a file whose size and time are what they were is not read; what has not changed is not told again; whatever is
wrong with the files of one run is said in its place, and no other run is the worse for it.
"""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from typing import Any

from jnn.train.log._growing import GrowingRows
from jnn.train.log.rows import ROWS, STATUS, read_status

SECONDS = 1.0  # that one look reads for; what is left is read by the next one
SHORT = 500  # characters of a note that are shown


class Runs:
    """The runs in a folder and up to two folders below it, in the order of their names.

    Args:
      folder: where to look for `metrics.jsonl`.
      stalled_after: seconds without a new row after which a running run counts as stalled.
    """

    def __init__(self, folder: Path, stalled_after: float) -> None:
        self._folder, self._stalled_after = folder, stalled_after
        self._runs: dict[Path, _Run] = {}
        self._listed = 0  # the look that last found other names
        self._looks, self._maker, self._one_by_one = 0, secrets.token_hex(4), threading.Lock()

    def since(self, token: str) -> dict[str, Any]:
        """The runs that have changed since the answer with this token; all where the token is none of this object's.

        Returns:
          `now`, the machine's clock; `token`; `whole`, whether all is told; `more`, whether there is more to read than
          was read now; `names` of all runs, if they have changed; and of each run: `name`; `state`: running, stalled,
          finished, stopped, failed, unreadable, or reading; `note`: an error's text; `changed`: the time of the last
          row; `step` and `steps`: of how many; `last`: metric -> latest number, as text where JSON has none; `curves`:
          metric -> (start, stretches), the points (step, value) that replace those from the stretch `start` on.
        """
        maker, _, number = token.partition(".")
        known = int(number) if maker == self._maker and number.isdecimal() else 0
        with self._one_by_one:
            now = time.time()
            self._look(now)
            answer = {"now": now, "token": f"{self._maker}.{self._looks}", "whole": not known}
            answer["more"] = any(run.about["state"] == "reading" for run in self._runs.values())
            if self._listed > known:
                answer["names"] = [run.name for run in self._runs.values()]
            return answer | {"runs": [run.told(known) for run in self._runs.values() if run.at > known]}

    def _look(self, now: float) -> None:
        self._looks += 1
        until = time.monotonic() + SECONDS
        found = sorted(path.parent for pattern in ("", "*/", "*/*/") for path in self._folder.glob(pattern + ROWS))
        if found != [*self._runs]:
            self._listed = self._looks
            self._runs = {path: self._runs.get(path) or _Run(self._name(path), path) for path in found}
        for run in self._runs.values():
            run.look(self._looks, until, now - self._stalled_after)

    def _name(self, path: Path) -> str:
        return self._folder.resolve().name if path == self._folder else path.relative_to(self._folder).as_posix()


class _Run:
    """One run: what is known of its files, and the look at which that last changed."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.at = name, 0
        self.about: dict[str, Any] = {}
        self._paths = (folder / ROWS, folder / STATUS)
        self._files: Any = None
        self._status: dict[str, Any] = {}
        self._rows = GrowingRows(folder / ROWS)

    def look(self, at: int, until: float, stale: float) -> None:
        """Reads what has changed."""
        if (files := [_stamp(path) for path in self._paths]) != self._files:
            self._files = files
            self._status, self.at = self._read(at, until), at
        about = self._status
        if about["state"] == "running" and about["changed"] < stale:
            about = about | {"state": "stalled"}
        if about != self.about:
            self.about, self.at = about, at

    def told(self, known: int) -> dict[str, Any]:
        """As JSON, for whoever knows what was there at that look."""
        news = {metric: curve.since(known) for metric, curve in self._rows.curves.items()}
        curves = {metric: found for metric, found in news.items() if found[1] or not found[0]}
        return {"name": self.name, **self.about, "last": self._rows.last, "curves": curves}

    def _read(self, at: int, until: float) -> dict[str, Any]:
        """The files, as far as time allows. Whatever stands in them, the page goes on: hence every error is caught."""
        about: dict[str, Any] = {"state": "unreadable", "note": "", "steps": None, "changed": None}
        try:
            if time.monotonic() > until or not self._rows.read(at, until):
                self._files = None  # to be gone on with
                about["state"] = "reading"
            else:
                about |= read_status(self._paths[1]) | {"changed": self._paths[0].stat().st_mtime}
                if others := self._rows.others:
                    about["note"] += f" {len(others):,} of its metrics are not shown."
        except Exception as error:
            about["note"] = str(error) or type(error).__name__
        return about | {"step": self._rows.step, "note": about["note"].strip()[:SHORT]}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells that a file has changed; None for one that is not there."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
