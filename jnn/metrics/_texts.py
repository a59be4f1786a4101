"""What metrics of texts share: rows of strings that are checked, and counted n-grams. On the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jnn import checks


def rows(name: str, hypotheses: Any, references: Any, weight: Any) -> Iterator[tuple[str, list[str], float]]:
    """Each hypothesis, its one or more references and its weight; rows of weight 0 are left out, whatever they hold.

    Raises:
      TypeError: hypotheses are not a sequence of strings, or references not of strings or of sequences of them.
      ValueError: numbers of rows differ, or a row has no reference.
    """
    for one, several, x in (("hypothesis", "hypotheses", hypotheses), ("reference", "references", references)):
        if isinstance(x, str):
            raise TypeError(f"{name}: expected {several} as a sequence of strings, found a str. Give [{one}].")
    weight = np.ones(len(hypotheses)) if weight is None else np.asarray(weight, np.float64)
    if not len(hypotheses) == len(references) == len(weight):
        raise ValueError(
            f"{name}: expected as many hypotheses as references and weights, found {len(hypotheses)}, "
            f"{len(references)} and {len(weight)}."
        )
    for i, (hypothesis, own, each) in enumerate(zip(hypotheses, references, weight, strict=True)):
        if each != 0:
            texts = [own] if isinstance(own, str) else list(own)
            if not texts:
                raise ValueError(f"{name}: expected a reference or more in each row, found none in row {i}.")
            for text in (hypothesis, *texts):
                if not isinstance(text, str):
                    raise TypeError(f"{name}: expected strings, found {checks.describe(text)} in row {i}.")
            yield hypothesis, texts, float(each)


def ngrams(tokens: Sequence[str], n: int) -> Counter[Any]:
    """How often each run of n tokens, or characters of a string, occurs.

    >>> ngrams("abab", 2).most_common()
    [('ab', 2), ('ba', 1)]
    """
    if isinstance(tokens, str):
        return Counter(tokens[i : i + n] for i in range(len(tokens) - n + 1))
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
