"""The history of a run: one row of plain numbers every so many steps."""

from __future__ import annotations

Row = dict[str, float]  # {"step": ..., "train/loss": ..., "val/accuracy": ...}
History = list[Row]
