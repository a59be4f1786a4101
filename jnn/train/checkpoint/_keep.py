"""What stays: of the whole checkpoints, and in the folder `damaged` of those that nothing can be restored from.

    Keep(newest=2, best=None)               the newest ones, and the best by a metric
    quarantine(step_folder) -> str          moves it into `damaged`, and says so
    clear(folder, whole) -> [str, ...]      deals with what killed saves left, keeps `damaged` small, and says so
    discard_half(folder, step)              deletes what a save of this process left that failed

Of what once was whole the `KEPT` newest steps stay in `damaged`, for somebody to look at. A half-written save is worth
that only as long as no whole checkpoint of its step or a later one was found: then it is deleted. Until then the `KEPT`
newest stay, so that a run which is killed in the same place again and again fills no disk.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jnn.files import free_name

KEPT = 3
HALF = ".orbax-checkpoint-tmp"  # Orbax's name for a step until it is whole
NAME = re.compile(rf"([0-9]+)(?:{re.escape(HALF)})?(?:-[0-9]+)*")  # anything else in `damaged` is somebody else's
Best = tuple[str, Literal["min", "max"], int]  # a metric, which way is better, how many stay
Metrics = Mapping[str, float]


@dataclasses.dataclass
class Keep:
    """The newest `newest` checkpoints and the `best` ones; a policy in Orbax's sense.

    Args:
      newest: how many of the newest stay, 1 or more.
      best: a metric, "min" or "max", and how many of the best stay; None for none.
      metrics: of each step, as far as there are any. NaN is never among the best.
      pinned: a step that stays whatever comes.

    Raises:
      ValueError: counts below 1, or an unknown direction.

    >>> metrics = {1: {"loss": 0.5}, 2: {"loss": 0.1}, 3: {"loss": 0.4}, 4: {"loss": 0.3}}
    >>> sorted(Keep(1, ("loss", "min", 1), metrics).among([1, 2, 3, 4]))
    [2, 4]
    """

    newest: int
    best: Best | None = None
    metrics: dict[int, Metrics] = dataclasses.field(default_factory=dict)
    pinned: int | None = None

    def __post_init__(self) -> None:
        _, mode, count = self.best or ("", "min", 1)
        if self.newest < 1 or count < 1 or mode not in ("min", "max"):
            raise ValueError(
                f'Checkpoints: expected keep >= 1 and best=(metric, "min" or "max", count >= 1), found '
                f"keep={self.newest} and best={self.best}."
            )

    def check(self, metrics: Metrics) -> None:
        """Raises if there are metrics, but not the one that tells the best.

        Raises:
          ValueError: names it, and those that there are.
        """
        if metrics and self.best is not None and self.best[0] not in metrics:
            raise ValueError(f"Checkpoints.save: best needs {self.best[0]!r}, found metrics {sorted(metrics)}.")

    def among(self, steps: Collection[int]) -> set[int]:
        """The steps of these that stay; of two equally good ones the older."""
        kept = {step for step in steps if step == self.pinned} | {*sorted(steps)[-self.newest :]}
        if self.best is not None:
            name, mode, count = self.best
            value = lambda step: self.metrics.get(step, {}).get(name, math.nan) * (1 if mode == "min" else -1)
            kept |= set(
                sorted((step for step in steps if value(step) == value(step)), key=lambda s: (value(s), s))[:count]
            )
        return kept

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Orbax's question; it deletes the others once the newest one is whole."""
        kept = self.among([info.step for info in checkpoints])
        return [info.step in kept for info in checkpoints]


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
