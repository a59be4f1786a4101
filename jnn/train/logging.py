"""Rows of a history, shown while a run goes on: a progress bar, and one JSON line each in a file."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressLog:
    """A bar on standard error, and `metrics.jsonl` in a folder; call it with rows of a history.

    Args:
      folder: where `metrics.jsonl` is written anew.
      steps: how many steps the bar counts to.
      label: what stands before the bar.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with ProgressLog(folder, steps=2) as log:
    ...     log({"step": 1, "train/loss": 0.5})
    >>> (Path(folder) / "metrics.jsonl").read_text()
    '{"step": 1, "train/loss": 0.5}\\n'
    """

    def __init__(self, folder: str | Path, *, steps: int, label: str = "train") -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._file = (Path(folder) / "metrics.jsonl").open("w", encoding="utf-8")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        tail = (TimeRemainingColumn(), TextColumn("{task.fields[shown]}"))
        self._bar = Progress(*columns, *tail, console=Console(stderr=True))
        self._task = self._bar.add_task(label, total=steps, shown="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        self._file.close()

    def __call__(self, row: dict[str, float]) -> None:
        """Shows and writes one row."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        shown = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "step" and not k.endswith("grad_norm"))
        self._bar.update(self._task, completed=row["step"], shown=shown)
