"""Translations by what it takes to mend them: translation edit rate and extended edit distance; on the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from jnn.metrics._edits import codes, edit_rows
from jnn.metrics._sums import Mean
from jnn.metrics._texts import rows

# of tercom, the reference implementation of TER
LONGEST, FARTHEST, MOST = 10, 50, 1000  # words that are moved at once, and how far; moves tried for one hypothesis
# of EED, in steps of 0.2, so that no tie is lost to rounding
STEP, DELETION, EDIT, JUMP = 0.2, 1, 5, 10
COVERAGE = 0.3


def translation_edit_rate(
    hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], weight: Any = None
) -> Mean:
    """Translation edit rate (TER): edits, and moves of several words at once, over the words of the references.

    Words are what stands between spaces, in lower case. Moves are found as tercom and sacreBLEU find them: again and
    again the one that saves the most edits. See "A Study of Translation Edit Rate with Targeted Human Annotation",
    Snover et al., 2006.

    Args:
      hypotheses: a string for each row.
      references: a string for each row, or one or more: the fewest edits count, and the mean number of words.
      weight: (rows,); 0 for padding, None for 1 each.

    Returns:
      Mean: the sum of edits and the number of words, which merge; `100 * value()` is what sacreBLEU prints.

    Raises:
      TypeError: hypotheses or references are not strings.
      ValueError: numbers of rows differ, or a row has no reference.

    >>> float(translation_edit_rate(["on the mat sat the cat"], ["the cat sat on the mat"]).value()) * 6
    2.0
    """
    edits = length = np.float64(0)
    for hypothesis, own, each in rows("translation_edit_rate", hypotheses, references, weight):
        others = [text.lower().split() for text in own]
        edits += each * min(_edits(*codes(hypothesis.lower().split(), other)) for other in others)
        length += each * np.mean([len(other) for other in others])
    return Mean(edits, length)


class _Move(NamedTuple):
    """Words of a hypothesis that are put elsewhere."""

    start: int
    length: int
    to: int

    def apply(self, words: np.ndarray) -> np.ndarray:
        """The words in their new order."""
        end = self.start + self.length
        rest = np.concatenate([words[: self.start], words[end:]])
        to = self.to - self.length if self.to > end else min(self.to, len(rest))
        return np.insert(rest, to, words[self.start : end])


def _edits(mine: np.ndarray, theirs: np.ndarray) -> int:
    """Moves and edits that make a reference of a hypothesis."""
    done = tried = 0
    while True:
        table = np.stack(list(edit_rows(mine, theirs)))
        moves = list(islice(_moves(mine, theirs, table), MOST - tried))
        tried += len(moves)
        if not moves or tried == MOST:
            break
        moved = np.stack([move.apply(mine) for move in moves])
        *_, row = edit_rows(moved, theirs)
        best = min(range(len(moves)), key=lambda i: (row[i, -1], -moves[i].length, moves[i].start, moves[i].to))
        if row[best, -1] >= table[-1, -1]:
            break
        mine, done = moved[best], done + 1
    return done + int(table[-1, -1])


def _moves(mine: np.ndarray, theirs: np.ndarray, table: np.ndarray) -> Iterator[_Move]:
    """Words that both have, at a place that is wrong in both, to where the reference has them."""
    aligned, wrong, missing = _aligned(mine, theirs, table)
    for start, place in np.argwhere(mine[:, None] == theirs).tolist():
        if abs(start - place) > FARTHEST:
            continue
        for length in range(1, min(LONGEST, len(mine) - start, len(theirs) - place) + 1):
            end = start + length
            if mine[end - 1] != theirs[place + length - 1]:
                break
            if wrong[start:end].any() and missing[place : place + length].any() and not start <= aligned[place] < end:
                before = aligned[place - 1] if place else -1
                for to in sorted({before + 1, *(aligned[place : place + length] + 1).tolist()}):
                    yield _Move(start, length, int(to))


def _aligned(mine: np.ndarray, theirs: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each word of the reference stands or would stand after, and which words of each have no match."""
    i, j = len(mine), len(theirs)
    aligned, wrong, missing = np.zeros(j, int), np.ones(i, bool), np.ones(j, bool)
    while i or j:
        if i and j and table[i, j] == table[i - 1, j - 1] + (mine[i - 1] != theirs[j - 1]):
            i, j = i - 1, j - 1
            aligned[j], wrong[i], missing[j] = i, mine[i] != theirs[j], mine[i] != theirs[j]
        elif i and table[i, j] == table[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
            aligned[j] = i - 1
    return aligned, wrong, missing


def extended_edit_distance(
    hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], weight: Any = None
) -> Mean:
    """Extended edit distance (EED), from 0 to 1: edits of characters, and jumps between words; the mean over rows.

    Characters of the hypothesis that are used never, or more than once, cost as well. Runs of spaces count as one, with
    one at each end; set punctuation apart beforehand. See "EED: Extended Edit Distance Measure for Machine
    Translation", Stanchev et al., 2019.

    Args:
      hypotheses: a string for each row.
      references: a string for each row, or one or more: the nearest counts.
      weight: (rows,); 0 for padding, None for 1 each.

    Raises:
      TypeError: hypotheses or references are not strings.
      ValueError: numbers of rows differ, or a row has no reference.

    >>> round(float(extended_edit_distance(["this is the prediction"], ["this is the reference"]).value()), 4)
    0.3835
    """
    total = weights = np.float64(0)
    for hypothesis, own, each in rows("extended_edit_distance", hypotheses, references, weight):
        best = min(_extended(_spaced(hypothesis), _spaced(text)) for text in own)
        total, weights = total + each * best, weights + each
    return Mean(total, weights)


def _spaced(text: str) -> str:
    return f" {' '.join(text.split())} "


def _extended(mine: str, theirs: str) -> float:
    """The distance of two texts: a row of costs for each character of the reference, by places in the hypothesis."""
    letters, place = codes(mine, theirs)[0], DELETION * np.arange(len(mine) + 1)
    visits, row = np.zeros(len(place), int), np.where(place == 0, 0, EDIT)
    for letter, code in zip(theirs, codes(mine, theirs)[1], strict=True):
        step = np.minimum(row[1:] + EDIT, row[:-1] + np.where(letters == code, 0, EDIT))
        row = np.minimum.accumulate(np.append(row[0] + EDIT, step) - place) + place
        visits[np.argmin(row)] += 1
        if letter == " ":
            row = np.minimum(row, row.min() + JUMP)
    coverage = COVERAGE * np.abs(visits - 1).sum()
    return float(min(1, (STEP * row[-1] + coverage) / (len(theirs) + coverage)))
