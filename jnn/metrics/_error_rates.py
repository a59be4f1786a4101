"""Error rates of words and characters, and the information that words keep, as sums; on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnn.metrics._edits import codes, edit_distance, edit_rows
from jnn.metrics._sums import Mean, ratio
from jnn.metrics._texts import rows


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str], weight: Any = None) -> Mean:
    """Word error rate (WER): edits that make the references of the hypotheses, over the words of the references.

    Args:
      hypotheses: a string for each row; words are what stands between spaces.
      references: a string for each row.
      weight: (rows,); 0 for padding, None for 1 each.

    Returns:
      Mean: the sum of edits and the number of words, which merge.

    Raises:
      TypeError: hypotheses or references are not strings.
      ValueError: numbers of rows differ, or a row has not one reference.

    >>> float(word_error_rate(["the cat sat"], ["the bat sat down"]).value())
    0.5
    """
    return _error_rate("word_error_rate", hypotheses, references, weight, str.split)


def character_error_rate(hypotheses: Sequence[str], references: Sequence[str], weight: Any = None) -> Mean:
    """Character error rate (CER): as `word_error_rate`, of characters; spaces at both ends are left out.

    >>> float(character_error_rate(["kitten"], ["sitting "]).value())
    0.42857142857142855
    """
    return _error_rate("character_error_rate", hypotheses, references, weight, lambda text: list(text.strip()))


class WordInformation(NamedTuple):
    """Word information as sums: words that match, those of hypotheses, and those of references."""

    matches: Any
    hypothesis: Any
    reference: Any

    def value(self) -> Any:
        """The share preserved (WIP): precision times recall of words."""
        return ratio(self.matches, self.reference) * ratio(self.matches, self.hypothesis, empty=0.0)

    def lost(self) -> Any:
        """The share lost (WIL)."""
        return 1 - self.value()


def match_error_rate(hypotheses: Sequence[str], references: Sequence[str], weight: Any = None) -> Mean:
    """Match error rate (MER): edits over edits and matches, from 0 to 1, of words aligned as in `word_error_rate`.

    Of alignments with equally few edits, one with the most matches counts. See "From WER and RIL to MER and WIL:
    improved evaluation measures for connected speech recognition", Morris et al., 2004. Args, Returns and Raises as of
    `word_error_rate`.

    >>> float(match_error_rate(["the cat sat"], ["the bat sat down"]).value())
    0.5
    """
    edits, matches, *_ = _matched("match_error_rate", hypotheses, references, weight)
    return Mean(edits, edits + matches)


def word_information_preserved(
    hypotheses: Sequence[str], references: Sequence[str], weight: Any = None
) -> WordInformation:
    """Word information preserved (WIP): precision times recall of words that match; `lost()` is the rest of 1 (WIL).

    Of alignments with equally few edits, one with the most matches counts. See "From WER and RIL to MER and WIL:
    improved evaluation measures for connected speech recognition", Morris et al., 2004. Args and Raises as of
    `word_error_rate`.

    >>> metric = word_information_preserved(["the cat sat"], ["the bat sat down"])
    >>> round(float(metric.value()), 4), round(float(metric.lost()), 4)
    (0.3333, 0.6667)
    """
    _, *sums = _matched("word_information_preserved", hypotheses, references, weight)
    return WordInformation(*sums)


def _error_rate(name: str, hypotheses: Any, references: Any, weight: Any, split: Callable[[str], list[str]]) -> Mean:
    edits = length = np.float64(0)
    for mine, theirs, each in _pairs(name, hypotheses, references, weight, split):
        edits, length = edits + each * edit_distance(mine, theirs), length + each * len(theirs)
    return Mean(edits, length)


def _matched(name: str, hypotheses: Any, references: Any, weight: Any) -> np.ndarray:
    """Edits, matches, words of hypotheses and of references: (4,)."""
    sums = np.zeros(4)
    for mine, theirs, each in _pairs(name, hypotheses, references, weight, str.split):
        much = len(mine) + 1  # one edit outweighs all matches
        a, b = codes(mine, theirs)
        *_, row = edit_rows(a, b, edit=much, match=-1)
        edits = -(-row[-1] // much)
        sums += each * np.array([edits, edits * much - row[-1], len(mine), len(theirs)])
    return sums


def _pairs(
    name: str, hypotheses: Any, references: Any, weight: Any, split: Callable[[str], list[str]]
) -> Iterator[tuple[list[str], list[str], float]]:
    """Tokens of each hypothesis and of its one reference, and the weight."""
    for hypothesis, own, each in rows(name, hypotheses, references, weight):
        if len(own) > 1:
            raise ValueError(f"{name}: expected one reference in each row, found {len(own)}.")
        yield split(hypothesis), split(own[0]), each
