"""Answers to questions against those that are right, as SQuAD compares them; on the host."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jnn.metrics._sums import Mean, ratio
from jnn.metrics._texts import rows

ARTICLE = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_match(
    hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], weight: Any = None
) -> Mean:
    """Exact match: how often an answer is one of those that are right; case, punctuation and articles do not count.

    See "SQuAD: 100,000+ Questions for Machine Comprehension of Text", Rajpurkar et al., 2016.

    Args:
      hypotheses: a string for each row.
      references: a string for each row, or one or more.
      weight: (rows,); 0 for padding, None for 1 each.

    Raises:
      TypeError: hypotheses or references are not strings.
      ValueError: numbers of rows differ, or a row has no reference.

    >>> float(exact_match(["The cat.", "a dog"], ["cat", ["bird", "fish"]]).value())
    0.5
    """
    return _best("exact_match", hypotheses, references, weight, lambda a, b: float(a == b))


def token_f1(
    hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], weight: Any = None
) -> Mean:
    """Token F1: of the words that an answer shares with the right one it is nearest to. All else as `exact_match`.

    An answer of no words is right where the right one has none either.

    >>> float(token_f1(["the black cat"], ["a cat"]).value())
    0.6666666666666666
    """
    return _best("token_f1", hypotheses, references, weight, _f1)


def _f1(mine: list[str], theirs: list[str]) -> float:
    if not mine or not theirs:
        return float(mine == theirs)
    return float(ratio(2.0 * (Counter(mine) & Counter(theirs)).total(), len(mine) + len(theirs)))


def _best(
    name: str, hypotheses: Any, references: Any, weight: Any, score: Callable[[list[str], list[str]], float]
) -> Mean:
    total = weights = np.float64(0)
    for hypothesis, own, each in rows(name, hypotheses, references, weight):
        best = max(score(_words(hypothesis), _words(text)) for text in own)
        total, weights = total + each * best, weights + each
    return Mean(total, weights)


def _words(text: str) -> list[str]:
    return ARTICLE.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()
