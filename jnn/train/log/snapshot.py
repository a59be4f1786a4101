"""What the live page shows: the runs of a folder as plain JSON values, small whatever their length.

snapshot(folder, stalled_after) -> {"now": seconds, "runs": [{"name", "state", "curves", ...}]}
"""

from __future__ import annotations

import functools
import math
import time
from pathlib import Path
from typing import Any

from jnn.train.log.rows import ROWS, STATUS, read_rows, read_status

POINTS = 1000  # of a curve: more than a plot has pixels
Point = tuple[float, float]  # step, value


def snapshot(folder: Path, stalled_after: float) -> dict[str, Any]:
    """The runs in a folder and up to two folders below it, in the order of their names.

    Args:
      folder: where to look for `metrics.jsonl`.
      stalled_after: seconds without a new row after which a running run counts as stalled.

    Returns:
      `now`, the machine's clock, and of each run: `name`; `state`: running, stalled, finished, stopped, failed or
      unreadable; `note`: an error's text; `changed`: the time of the last row; `step` and `steps`: of how many;
      `last`: metric -> latest number, as text where JSON has none; `curves`: metric -> points (step, value).
    """
    now = time.time()
    paths = sorted(path for pattern in ("", "*/", "*/*/") for path in folder.glob(pattern + ROWS))
    return {"now": now, "runs": [_run(folder, path, now - stalled_after) for path in paths]}


def _run(folder: Path, path: Path, stale: float) -> dict[str, Any]:
    name = path.parent.relative_to(folder).as_posix()
    run: dict[str, Any] = {"name": folder.resolve().name if name == "." else name, "step": 0, "last": {}, "curves": {}}
    try:
        about, status = path.stat(), read_status(path.with_name(STATUS))
        run |= status | {"changed": about.st_mtime} | _read(path, about.st_mtime_ns, about.st_size)
    except (OSError, ValueError) as error:  # shown, for others of the runs may be whole
        return run | {"state": "unreadable", "note": str(error), "steps": None, "changed": None}
    if run["state"] == "running" and about.st_mtime < stale:
        run["state"] = "stalled"
    return run


@functools.lru_cache(256)
def _read(path: Path, changed: int, size: int) -> dict[str, Any]:
    """The rows of a file, read anew only when its time or size has changed."""
    curves: dict[str, list[Point]] = {}
    last: dict[str, float | str] = {}
    history = read_rows(path)
    for row in history:
        for metric, value in row.items():
            if metric != "step":
                points = curves.setdefault(metric, [])
                last[metric] = value if (finite := math.isfinite(value)) else str(value)
                if finite:
                    points.append((row["step"], value))
    thinned = {metric: thin(points) for metric, points in curves.items()}
    return {"step": history[-1]["step"] if history else 0, "last": last, "curves": thinned}


def thin(points: list[Point], most: int = POINTS) -> list[Point]:
    """At most about so many of the points: the lowest and the highest of each stretch, so that no spike is lost.

    >>> thin([(0, 1.0), (1, 9.0), (2, 2.0), (3, 1.0), (4, 0.0), (5, 3.0)], most=4)
    [(0, 1.0), (1, 9.0), (4, 0.0), (5, 3.0)]
    """
    if len(points) <= most:
        return points
    size = math.ceil(2 * len(points) / most)
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        value = lambda i, stretch=stretch: stretch[i][1]
        ends = {min(range(len(stretch)), key=value), max(range(len(stretch)), key=value)}
        kept += [stretch[i] for i in sorted(ends)]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]
