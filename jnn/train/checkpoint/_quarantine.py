"""Corrupt checkpoints, and what killed saves left, set aside in the folder `damaged`.

    quarantine(step_folder) -> str          moves it into `damaged`, and says so
    clear(folder, whole) -> [str, ...]      deals with what killed saves left, keeps `damaged` small, and says so
    discard_half(folder, step)              deletes what a save of this process left that failed

Of what once was whole the `KEPT` newest steps stay in `damaged`, for somebody to look at. A half-written save is worth
that only as long as no whole checkpoint of its step or a later one was found: then it is deleted. Until then the `KEPT`
newest stay, so that a run which is killed in the same place again and again fills no disk.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from jnn.files import free_name

KEPT = 3
HALF = ".orbax-checkpoint-tmp"  # Orbax's name for a step until it is whole
NAME = re.compile(rf"([0-9]+)(?:{re.escape(HALF)})?(?:-[0-9]+)*")  # anything else in `damaged` is somebody else's


def quarantine(path: Path) -> str:
    """Moves a folder into `damaged` beside it, under a name that is free; says what became of it."""
    room = path.parent / "damaged"

    def move() -> str:
        room.mkdir(exist_ok=True)
        return f"moved to {path.rename(free_name(room / path.name))}"

    return _tried(move, "it could not be moved aside")


def clear(folder: Path, whole: int | None) -> list[str]:
    """Sets aside what killed saves left, and deletes what the rule does not keep.

    Args:
      folder: of the checkpoints.
      whole: the newest step that was found to be whole, if there is one.

    Returns:
      One line for each folder that was moved or deleted, or could not be.
    """
    lines = []
    for path in sorted(path for path in folder.iterdir() if HALF in path.name):
        became = _delete(path) if _is_past(path, whole) else quarantine(path)
        lines.append(f"checkpoint {path.name}: the save was not finished; {became}")
    room = folder / "damaged"
    held = [path for path in room.iterdir() if NAME.fullmatch(path.name)] if room.is_dir() else []
    held.sort(key=lambda path: (_step(path), len(path.name), path.name))  # 20, 20-2, 20-10
    past = [path for path in held if HALF in path.name and _is_past(path, whole)]
    halves = [path for path in held if HALF in path.name and path not in past]
    others = [path for path in held if HALF not in path.name]
    for path in past + halves[:-KEPT] + others[:-KEPT]:
        lines.append(f"checkpoint {path.name}, set aside before: {_delete(path)}")
    return lines


def discard_half(folder: Path, step: int) -> None:
    """Deletes what a save of this step left, whose failure is told; as far as nobody is still writing there."""
    for _ in range(10):
        for path in (halves := list(folder.glob(f"{step}{HALF}*"))):
            shutil.rmtree(path, ignore_errors=True)
        if not halves:
            return
        time.sleep(0.02)  # the threads that did not fail go on a while


def _step(path: Path) -> int:
    match = NAME.match(path.name)
    return int(match[1]) if match else -1


def _is_past(path: Path, whole: int | None) -> bool:
    return whole is not None and 0 <= _step(path) <= whole


def _delete(path: Path) -> str:
    def delete() -> str:
        shutil.rmtree(path)
        return "deleted"

    return _tried(delete, "it could not be deleted")


def _tried(act: Callable[[], str], failed: str) -> str:
    """What became of it: a folder that is only read must not keep a run from its state."""
    try:
        return act()
    except OSError as error:
        return f"{failed}: {error}"
