"""Rows of chorales as networks and n-grams read them: what is known of each step, and what is sung.

columns(piece) -> {"state", "now", "place", "until", "ahead"}      of a whole piece
windows(pieces, context) -> the same and "counts"                  of rows of equal length
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from experiments.chorales import SILENT, START, VOICES, Piece

AHEAD = tuple(range(2, 17, 2))  # steps: eighths of the next four quarters


def columns(piece: Piece) -> dict[str, np.ndarray]:
    """What is known of each step, and what is sung.

    Returns:
      "state" and "now" (t, 4), the states before each step and at it; "place" and "until" (t,); "ahead" (t, 8), the
      melody's states at the next eighths.
    """
    melody = np.append(piece.states[:, 0], [SILENT] * AHEAD[-1])
    return {
        "state": np.concatenate([np.full((1, len(VOICES)), START), piece.states[:-1]]),
        "now": piece.states,
        "place": piece.place,
        "until": piece.until,
        "ahead": np.stack([melody[by : by + len(piece.states)] for by in AHEAD], 1),
    }


def windows(pieces: Iterable[Piece], context: int, *, once: bool = False) -> dict[str, np.ndarray]:
    """Rows of a context's steps, each of which begins half a context behind the one before.

    Returns:
      `columns` of rows, int32, filled with 0 where a row outlasts its piece; and "counts" (n, context), float32: 1 for
      steps of a piece, or, if they are to count `once`, for those that no row before has. These, but at the beginning
      of a piece, have half a context behind them at least.
    """
    rows: list[dict[str, np.ndarray]] = []
    half, kept = context // 2, context - context // 2
    for piece in pieces:
        known = columns(piece) | {"counts": np.ones(len(piece.states))}
        for begin in range(0, max(1, len(piece.states) - kept), half):
            row = {name: filled(column[begin : begin + context], context) for name, column in known.items()}
            if once and begin:
                row["counts"][:kept] = 0
            rows.append(row)
    joined = {name: np.stack([row[name] for row in rows]).astype(np.int32) for name in rows[0]}
    return joined | {"counts": joined["counts"].astype(np.float32)}


def filled(column: np.ndarray, length: int) -> np.ndarray:
    """A column (t, ...) with zeros behind it, up to a length."""
    return np.pad(column, ((0, length - len(column)), *((0, 0),) * (column.ndim - 1)))
