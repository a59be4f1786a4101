"""Whose a folder is: a run goes on with the settings that it began with, and with no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def check_settings(where: str | Path, theirs: Any, ours: Any) -> None:
    """Raises ValueError unless the settings are those of the run that a folder, or a file in it, holds.

    Args:
      where: what holds the run.
      theirs, ours: JSON values, as they come back from a file.

    >>> check_settings("runs/a", {"rate": 0.1, "seed": 0}, {"rate": 0.2, "seed": 0})
    Traceback (most recent call last):
    ValueError: runs/a holds a run with other settings (rate 0.1 there, 0.2 here). Choose another folder, or move this
    one away.
    >>> check_settings("runs/a", {"rate": 0.1, "folds": 5}, {"rate": 0.1, "width": 8})
    Traceback (most recent call last):
    ValueError: runs/a holds a run with other settings (only there folds; only here width). Choose another folder, or
    move this one away.
    """
    if theirs == ours:
        return
    differ = [f"{theirs} there, {ours} here"]
    if isinstance(theirs, dict) and isinstance(ours, dict):
        both = [name for name in theirs if name in ours and theirs[name] != ours[name]]
        differ = [f"{name} {theirs[name]} there, {ours[name]} here" for name in both]
        alone = {"there": theirs.keys() - ours.keys(), "here": ours.keys() - theirs.keys()}
        differ += [f"only {side} {', '.join(sorted(names))}" for side, names in alone.items() if names]
    raise ValueError(
        f"{where} holds a run with other settings ({'; '.join(differ)}). Choose another folder, or move this one away."
    )
