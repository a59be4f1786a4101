"""Sequences compared in their order: edit distance and ROUGE; on the host."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from jnn.metrics._sums import Mean, ratio
from jnn.metrics._texts import ngrams, rows

WORD = re.compile("[a-z0-9]+")


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Edit distance (Levenshtein): the least insertions, deletions and substitutions that make b of a.

    See "Binary codes capable of correcting deletions, insertions, and reversals", Levenshtein, 1966.

    Args:
      a, b: strings, or lists of tokens.

    >>> edit_distance("kitten", "sitting"), edit_distance(["a", "b"], ["b"])
    (3, 1)
    """
    a_codes, b_codes = codes(a, b)
    *_, row = edit_rows(a_codes, b_codes)
    return int(row[-1])


def edit_rows(a: np.ndarray, b: np.ndarray, edit: int = 1, match: int = 0) -> Iterator[np.ndarray]:
    """The least costs of making the beginnings of b of the first 0, 1, ... codes of a (..., n): rows (..., len(b) + 1).

    >>> [row.tolist() for row in edit_rows(np.array([7]), np.array([8, 7]))]
    [[0, 1, 2], [1, 1, 1]]
    """
    place = edit * np.arange(len(b) + 1)
    row = np.broadcast_to(place, (*a.shape[:-1], len(place)))
    yield row
    for i in range(a.shape[-1]):
        step = np.minimum(row[..., 1:] + edit, row[..., :-1] + np.where(b == a[..., i, None], match, edit))
        # insertions: the least of what any place to the left has, and the way from there
        first = np.full((*a.shape[:-1], 1), edit * (i + 1))
        row = np.minimum.accumulate(np.concatenate([first, step], -1) - place, -1) + place
        yield row


def rouge_n(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    n: int,
    weight: Any = None,
) -> Mean:
    """ROUGE-N: F1 of the n-grams that a summary shares with its reference, the mean over rows; the best of several.

    Tokens are runs of letters a-z and digits in lower case, without stemming. See "ROUGE: A Package for Automatic
    Evaluation of Summaries", Lin, 2004.

    Args:
      hypotheses: a string for each row.
      references: a string for each row, or one or more.
      n: 1 for ROUGE-1, 2 for ROUGE-2.
      weight: (rows,); 0 for padding, None for 1 each.

    Raises:
      TypeError: hypotheses or references are not strings.
      ValueError: numbers of rows differ, a row has no reference, or n is less than 1.

    >>> round(float(rouge_n(["the cat sat"], ["the cat"], 1).value()), 4)
    0.8
    """
    if n < 1:
        raise ValueError(f"rouge_n: expected n of 1 or more, found {n}.")
    shared = lambda a, b: (ngrams(a, n) & ngrams(b, n)).total()
    return _rouge("rouge_n", hypotheses, references, weight, shared, n - 1)


def rouge_l(hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], weight: Any = None) -> Mean:
    """ROUGE-L: F1 of the longest common subsequence of tokens, the mean over rows. Args and Raises as of `rouge_n`.

    See "ROUGE: A Package for Automatic Evaluation of Summaries", Lin, 2004.

    >>> round(float(rouge_l(["the cat sat"], ["the sat"]).value()), 4)
    0.8
    """
    return _rouge("rouge_l", hypotheses, references, weight, _common_subsequence, 0)


def _rouge(
    name: str,
    hypotheses: Any,
    references: Any,
    weight: Any,
    shared: Callable[[list[str], list[str]], int],
    less: int,
) -> Mean:
    """The mean of 2 * shared / (sizes of both), where a text of k tokens has a size of k - less."""
    size = lambda tokens: max(len(tokens) - less, 0)
    total = weights = np.float64(0)
    for hypothesis, own, each in rows(name, hypotheses, references, weight):
        mine, others = WORD.findall(hypothesis.lower()), [WORD.findall(text.lower()) for text in own]
        f1 = [ratio(2.0 * shared(mine, other), size(mine) + size(other), empty=0.0) for other in others]
        total, weights = total + each * max(f1), weights + each
    return Mean(total, weights)


def _common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """The length of the longest one."""
    a_codes, b_codes = codes(a, b)
    row = np.zeros(len(b_codes) + 1, int)
    for code in a_codes:
        row[1:] = np.maximum.accumulate(np.maximum(row[1:], row[:-1] + (b_codes == code)))
    return int(row[-1])


def codes(*sequences: Sequence[Hashable]) -> list[np.ndarray]:
    """A number for each token."""
    numbers: dict[Hashable, int] = {}
    return [np.array([numbers.setdefault(token, len(numbers)) for token in one], int) for one in sequences]
