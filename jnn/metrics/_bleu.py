"""BLEU and chrF: n-grams that a translation shares with its references, as sums over a corpus; on the host."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import numpy as np

from jnn.metrics._sums import ratio
from jnn.metrics._texts import ngrams, rows

ORDERS = range(1, 5)
CHARACTERS = range(1, 7)
ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
SYMBOL = re.compile(r"([!-&(-+/:-@[-`{-~ ])")  # of ASCII, all but ' , - .
NO_NUMBER_BEFORE, NO_NUMBER_AFTER = re.compile(r"([^0-9])([.,])"), re.compile(r"([.,])([^0-9])")
DASH = re.compile(r"([0-9])(-)")


class Bleu(NamedTuple):
    """BLEU as sums: n-grams of hypotheses that references have, and all (..., 4) each; lengths of both, in tokens."""

    matches: Any
    totals: Any
    length: Any
    reference_length: Any

    def precisions(self) -> Any:
        """The share of n-grams that references have, for n = 1..4: (..., 4)."""
        return ratio(self.matches, self.totals, empty=0.0)

    def brevity_penalty(self) -> Any:
        """exp(1 - reference length / length) where hypotheses are the shorter ones, else 1."""
        return np.exp(np.minimum(1 - ratio(self.reference_length, self.length, empty=np.inf), 0))

    def unsmoothed(self) -> Any:
        """BLEU as it was defined: 0 where any n has no match."""
        with np.errstate(divide="ignore"):
            return self.brevity_penalty() * np.exp(np.log(self.precisions()).mean(-1))

    def value(self) -> Any:
        """BLEU from 0 to 1, smoothed: the i-th n without a match counts as if it had 1 / 2**i matches.

        0 without any match at all, or where no hypothesis has four tokens.
        """
        none = np.asarray(self.matches) == 0
        smoothed = self._replace(matches=np.where(none, 0.5 ** np.cumsum(none, -1), self.matches))
        score = np.where(none.all(-1), 0.0, smoothed.unsmoothed())
        return np.where(self.reference_length + self.length == 0, np.nan, score)


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    weight: Any = None,
    *,
    tokenize: Callable[[str], list[str]] | None = None,
) -> Bleu:
    """BLEU of a corpus, as sacreBLEU defines it: `100 * value()` is what it prints.

    See "BLEU: a Method for Automatic Evaluation of Machine Translation", Papineni et al., 2002, "A Call for Clarity in
    Reporting BLEU Scores", Post, 2018, and for the smoothing "A Systematic Comparison of Smoothing Techniques for
    Sentence-Level BLEU", Chen and Cherry, 2014.

    Args:
      hypotheses: a string for each row.
      references: a string for each row, or one or more.
      weight: (rows,); 0 for padding, None for 1 each.
      tokenize: from a string to its tokens; None for `tokenize_13a`, `str.split` for texts that are tokenized.

    Returns:
      Bleu of sums in float64, which merge.

    Raises:
      TypeError: hypotheses or references are not strings.
      ValueError: numbers of rows differ, or a row has no reference.

    >>> metric = bleu(["the cat sat on the mat"], [["the cat sat on a mat", "a cat"]])
    >>> round(float(100 * metric.value()), 2)
    53.73
    """
    tokenize = tokenize_13a if tokenize is None else tokenize
    sums = np.zeros((2, len(ORDERS)))
    length = reference_length = np.float64(0)
    for hypothesis, own, each in rows("bleu", hypotheses, references, weight):
        tokens, others = tokenize(hypothesis), [tokenize(text) for text in own]
        counts = [(ngrams(tokens, n), reduce(or_, (ngrams(other, n) for other in others))) for n in ORDERS]
        sums += each * np.array([((mine & theirs).total(), mine.total()) for mine, theirs in counts]).T
        length += each * len(tokens)
        reference_length += each * min(map(len, others), key=lambda n: (abs(n - len(tokens)), n))
    matches, totals = sums
    return Bleu(matches, totals, length, reference_length)


def tokenize_13a(text: str) -> list[str]:
    """Tokens of BLEU by the rules called 13a: ASCII symbols stand alone, and `.` and `,` outside numbers.

    See "A Call for Clarity in Reporting BLEU Scores", Post, 2018.

    >>> tokenize_13a("Pay $1,000.50, now.")
    ['Pay', '$', '1,000.50', ',', 'now', '.']
    """
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, symbol in ENTITIES.items():
        text = text.replace(entity, symbol)
    text = SYMBOL.sub(r" \1 ", f" {text} ")
    text = NO_NUMBER_AFTER.sub(r" \1 \2", NO_NUMBER_BEFORE.sub(r"\1 \2 ", text))
    return DASH.sub(r"\1 \2 ", text).split()


class ChrF(NamedTuple):
    """chrF as sums: n-grams of characters of hypotheses, of references and of both, for n = 1..6: (..., 6) each."""

    hypothesis: Any
    reference: Any
    matches: Any

    def value(self) -> Any:
        """F2 of the mean precision and the mean recall, over the n of which both have any; NaN where neither has."""
        both = (self.hypothesis != 0) & (self.reference != 0)
        mean = lambda x: ratio(np.sum(x * both, -1), np.sum(both, -1), empty=0.0)
        precision, recall = (mean(ratio(self.matches, x, empty=0.0)) for x in (self.hypothesis, self.reference))
        score = ratio(5 * precision * recall, 4 * precision + recall, empty=0.0)
        return np.where(np.sum(self.hypothesis + self.reference, -1) == 0, np.nan, score)


def chrf(hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], weight: Any = None) -> ChrF:
    """chrF2 of a corpus: F-score of n-grams of characters, spaces left out; `100 * value()` is what sacreBLEU prints.

    Of several references that of the best score counts. See "chrF: character n-gram F-score for automatic MT
    evaluation", Popović, 2015. Args and Raises as of `bleu`.

    >>> float(chrf(["the cat"], ["th ecat"]).value())
    1.0
    """
    sums = np.zeros((3, len(CHARACTERS)))
    for hypothesis, own, each in rows("chrf", hypotheses, references, weight):
        mine = _characters(hypothesis)
        sums += each * max(
            (_shared(mine, _characters(text)) for text in own), key=lambda x: np.nan_to_num(ChrF(*x).value())
        )
    return ChrF(*sums)


def _characters(text: str) -> list[Counter[str]]:
    return [ngrams("".join(text.split()), n) for n in CHARACTERS]


def _shared(mine: list[Counter[str]], theirs: list[Counter[str]]) -> np.ndarray:
    """(3, 6): n-grams of a hypothesis, where the reference is long enough to have any, of the reference, of both."""
    each = [(a.total() if b else 0, b.total(), (a & b).total()) for a, b in zip(mine, theirs, strict=True)]
    return np.array(each, np.float64).T
