"""Rows of a history, shown while a run goes on: a log is a callable of a row.

with ProgressLog(folder, steps=1000) as log: fit(..., log=log)     a bar, and the rows in a file
together(log, TensorBoardLog(folder))                              several as one
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from jnn.terminal import Terminal
from jnn.train._history import Row
from jnn.train.log._throughput import Speed
from jnn.train.log.rows import RowLog

Log = Callable[[Row], None]


class ProgressLog:
    """Progress bar on standard error with speed and remaining time, and a `RowLog` in a folder.

    A standard error that is closed, full, or of few characters ends no run: the bar is left out.

    Args:
      folder: where `metrics.jsonl` and `status.json` are written; see `jnn.train.log.rows.RowLog`.
      steps: how many steps the bar counts to.
      label: what stands before the bar.
      examples_per_step: for examples per second; None where a step has no fixed number.
      flops_per_step: what the model's arithmetic costs, forward and backward, for the MFU.
      peak_flops: FLOP/s of all devices together, such as `jnn.train.log.peak_flops(jax.devices())`.
        The MFU is shown only where both are known.

    Raises:
      ValueError: steps, examples or FLOPs that are not positive.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with ProgressLog(folder, steps=2) as log:
    ...     log({"step": 1, "train/loss": 0.5})
    >>> (Path(folder) / "metrics.jsonl").read_text()
    '{"step": 1, "train/loss": 0.5}\\n'
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        steps: int,
        label: str = "train",
        examples_per_step: int | None = None,
        flops_per_step: float | None = None,
        peak_flops: float | None = None,
    ) -> None:
        given = {
            "steps": steps,
            "examples_per_step": examples_per_step,
            "flops_per_step": flops_per_step,
            "peak_flops": peak_flops,
        }
        if bad := [f"{name}={x}" for name, x in given.items() if x is not None and not x > 0]:
            raise ValueError(f"ProgressLog: expected positive numbers, or None for unknown, found {', '.join(bad)}.")
        self._rows, self._steps, self._speed = RowLog(folder, steps=steps), steps, Speed()
        self._examples = examples_per_step
        self._share = flops_per_step / peak_flops if flops_per_step and peak_flops else None
        name = TextColumn("{task.description}", markup=False)
        self._bar = Progress(name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._task = self._bar.add_task(label, total=steps)
        self._live = Live(self._bar, console=Console(file=cast(TextIO, Terminal(sys.stderr))), refresh_per_second=4)

    def __enter__(self) -> Self:
        self._rows.__enter__()
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()
        if not self._live.console.is_interactive:  # in a file the last line has no end yet
            self._live.console.line()
        self._rows.__exit__(kind, error, at)

    def __call__(self, row: Row) -> None:
        """Writes and shows one row."""
        self._rows(row)
        self._bar.update(self._task, completed=row["step"])
        plain = [k for k in row if k.count("/") == 1 and not k.endswith("grad_norm")]  # diagnostics have longer names
        shown = (f"{k} {row[k]:.4g}" for k in plain)
        lines = (Text(line) for line in (self._pace(row["step"]), "  ".join(shown)) if line)
        self._live.update(Group(self._bar, *lines))  # on lines of their own they wrap, and leave the bar its room

    def _pace(self, step: float) -> str:
        """Speed, share of the peak and remaining time, as far as they are known."""
        if (speed := self._speed(step)) is None:
            return ""
        parts = [f"{speed:.3g} steps/s"]
        if self._examples is not None:
            parts.append(f"{speed * self._examples:,.0f} examples/s")
        if self._share is not None:
            parts.append(f"MFU {speed * self._share:.1%}")
        if step < self._steps:
            parts.append(f"ETA {timedelta(seconds=round((self._steps - step) / speed))}")
        return "  ".join(parts)


def together(*logs: Log) -> Log:
    """One log that hands every row to each of these, in their order.

    >>> log = together(print, lambda row: print(row["step"]))
    >>> log({"step": 1})
    {'step': 1}
    1
    """

    def log(row: Row) -> None:
        for each in logs:
            each(row)

    return log
