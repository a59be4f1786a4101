"""Early stopping as a pure function of the history: a resumed run stops where an uninterrupted one does.

    EarlyStopping("val/loss", patience=5).stopped(history) -> bool
    EarlyStopping("val/loss", patience=5).best(history) -> row

See "Early Stopping - But When?", Prechelt, 1998.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from jnn.train._history import History, Row


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Early stopping: once no row is better than the best by more than `min_delta` for `patience` rows with the metric.

    Args:
      metric: the name of a number in the history's rows, such as "val/loss".
      patience: how many rows in a row may bring nothing, 1 or more.
      mode: whether "min" or "max" is better.
      min_delta: what counts as better, 0 or more.

    Raises:
      ValueError: patience below 1, a negative min_delta, or an unknown mode.

    >>> history = [{"step": i, "val/loss": loss} for i, loss in enumerate([3.0, 2.0, 2.5, 2.1])]
    >>> EarlyStopping("val/loss", patience=2).stopped(history), EarlyStopping("val/loss", patience=3).stopped(history)
    (True, False)
    """

    metric: str
    patience: int
    mode: Literal["min", "max"] = "min"
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1 or not self.min_delta >= 0 or self.mode not in ("min", "max"):
            raise ValueError(
                f"EarlyStopping: expected patience >= 1, min_delta >= 0 and mode 'min' or 'max', found "
                f"{self.patience}, {self.min_delta} and {self.mode!r}."
            )

    def stopped(self, history: History) -> bool:
        """Whether the last `patience` rows brought nothing better.

        Raises:
          KeyError: there are rows, and none holds the metric.
        """
        rows = self._rows(history)
        return len(rows) > 0 and len(rows) - 1 - rows.index(self._best(rows)) >= self.patience

    def best(self, history: History) -> Row:
        """The row that the last ones were compared with.

        Raises:
          KeyError: no row holds the metric.

        >>> history = [{"step": 1, "val/accuracy": 0.5}, {"step": 2, "val/accuracy": 0.4}]
        >>> EarlyStopping("val/accuracy", 1, "max").best(history)
        {'step': 1, 'val/accuracy': 0.5}
        """
        if not (rows := self._rows(history)):
            raise KeyError(f"EarlyStopping: the history is empty, so it has no best {self.metric!r}.")
        return self._best(rows)

    def _rows(self, history: History) -> list[Row]:
        rows = [row for row in history if self.metric in row]
        if history and not rows:
            raise KeyError(f"EarlyStopping: no row holds {self.metric!r}; the rows hold {sorted(history[-1])}.")
        return rows

    def _best(self, rows: list[Row]) -> Row:
        sign = 1 if self.mode == "min" else -1
        best, value = rows[0], math.inf
        for row in rows:
            if sign * row[self.metric] < value - self.min_delta:  # never true of NaN
                best, value = row, sign * row[self.metric]
        return best
