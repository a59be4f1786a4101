"""Packing: several documents in one row, so that little of a batch is padding.

    Packed(documents, context)[row] -> {"x", "y", "segments", "positions", "weight"}, each (context,)

Laws: every token of every document lies in one row, once; a target is the token after, in the same document; with
`segment_mask(segments)` and `positions`, a row's loss is that of its documents alone; a row depends on (documents,
context) and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jnn.data._checked import check_count

_INT32 = np.iinfo(np.int32)


class Piece(NamedTuple):
    """Tokens `start` to `stop` of a document, as inputs; their targets end one later."""

    document: int
    start: int
    stop: int


class Packed:
    """Packed sequences: an indexed source of rows, each filled with pieces of documents, for `SourceBatches`.

    See "Efficient Sequence Packing without Cross-contamination", Krell et al., 2021: the longest first, each where
    it leaves the least room. A document of more than `context` tokens goes on in further pieces.

    Args:
      documents: what is indexed by 0..n-1 and gives (tokens,) integers, at least two of them.
      context: tokens of a row.
      lengths: tokens of each document, if they are known; otherwise every document is read once for it.

    Raises:
      ValueError: no documents, a context below 1, or a document that has fewer than two tokens.
      ValueError, when a row is read: a document that is not a sequence of integers that int32 holds, or has another
        length than `lengths` says.

    >>> packed = Packed([np.arange(10, 14), np.arange(20, 23)], context=6)
    >>> len(packed), packed[0]["x"].tolist(), packed[0]["y"].tolist()
    (1, [10, 11, 12, 20, 21, 0], [11, 12, 13, 21, 22, 0])
    >>> packed[0]["segments"].tolist(), packed[0]["positions"].tolist(), packed[0]["weight"].tolist()
    ([1, 1, 1, 2, 2, 0], [0, 1, 2, 0, 1, 0], [1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    """

    def __init__(self, documents: Sequence[np.ndarray], context: int, *, lengths: Iterable[int] | None = None) -> None:
        check_count("Packed", "context", context)
        if isinstance(documents, np.ndarray) and documents.ndim == 1 and documents.dtype != object:
            raise TypeError(f"Packed: expected a list of documents, found one array {documents.dtype}. Give [tokens].")
        sizes = [len(documents[i]) for i in range(len(documents))] if lengths is None else [int(n) for n in lengths]
        if not sizes or len(sizes) != len(documents):
            raise ValueError(
                f"Packed: expected documents, and a length for each; found {len(documents)} documents and "
                f"{len(sizes)} lengths."
            )
        if min(sizes) < 2:
            raise ValueError(
                f"Packed: document {int(np.argmin(sizes))} has {min(sizes)} tokens; expected at least two, an input "
                "and its target. Leave it out."
            )
        self.documents, self.context, self._sizes = documents, context, sizes
        self._rows = best_fit(_pieces(sizes, context), context)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        """One row; segments count from 1, and 0 is padding, whose weight is 0."""
        names = ("x", "y", "segments", "positions")
        out = {name: np.zeros(self.context, np.int32) for name in names}
        end = 0
        for segment, piece in enumerate(self._rows[row], 1):
            tokens, n = self._tokens(piece), piece.stop - piece.start
            place, end = slice(end, end + n), end + n
            out["x"][place], out["y"][place] = tokens[:-1], tokens[1:]
            out["segments"][place], out["positions"][place] = segment, np.arange(n)
        return out | {"weight": (out["segments"] > 0).astype(np.float32)}

    def _tokens(self, piece: Piece) -> np.ndarray:
        document = np.asarray(self.documents[piece.document])
        expected = self._sizes[piece.document]
        if document.shape != (expected,) or document.dtype.kind not in "iu":
            raise ValueError(
                f"Packed: document {piece.document}: expected {expected} integers, found "
                f"{document.dtype}{list(document.shape)}."
            )
        tokens = document[piece.start : piece.stop + 1]
        if outside := [int(n) for n in (tokens.min(), tokens.max()) if not _INT32.min <= n <= _INT32.max]:
            raise ValueError(
                f"Packed: document {piece.document}: expected tokens that int32 holds, found {outside[0]}. "
                "Renumber them."
            )
        return tokens


def best_fit(pieces: Sequence[Piece], context: int) -> list[list[Piece]]:
    """Rows of pieces that are together at most `context` long: the longest first, where it leaves the least room.

    >>> rows = best_fit([Piece(0, 0, 3), Piece(1, 0, 2), Piece(2, 0, 2)], 4)
    >>> [[piece.document for piece in row] for row in rows]
    [[0], [1, 2]]
    """
    rows: list[list[Piece]] = []
    open_rows: list[list[int]] = [[] for _ in range(context + 1)]  # by the room that is left
    rooms = 0  # bit r is set where open_rows[r] has any: the least room of at least n is the lowest bit from n on
    for piece in sorted(pieces, key=lambda piece: piece.start - piece.stop):
        n = piece.stop - piece.start
        if (enough := rooms >> n) == 0:
            rows.append([])
            row, room = len(rows) - 1, context
        else:
            room = n + (enough & -enough).bit_length() - 1
            row = open_rows[room].pop()
            rooms &= ~(0 if open_rows[room] else 1 << room)
        rows[row].append(piece)
        if room > n:
            open_rows[room - n].append(row)
            rooms |= 1 << (room - n)
    return rows


def _pieces(sizes: Sequence[int], context: int) -> list[Piece]:
    """Each document's inputs, which are all its tokens but the last, cut to the context."""
    return [
        Piece(i, start, min(start + context, size - 1))
        for i, size in enumerate(sizes)
        for start in range(0, size - 1, context)
    ]
