"""Words and how they are said: the CMU Pronouncing Dictionary as arrays, and what a network says against it.

    dictionary(data_dir) -> known, phonemes         word -> its pronunciations; all phonemes, sorted
    parts(known) -> training, validation, test      words
    encode(words, known, phonemes, length)          arrays, a row for each way to say a word
    error_rates(found, known)                       against the nearest pronunciation

A word's pronunciations are all in one part. An id of a letter is its place in `LETTERS`, that of a phoneme `FIRST` more
than its place among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import jnn
from experiments.datasets import SPLIT_SEED
from jnn.data import cmudict, pad, split

LETTERS = "\0abcdefghijklmnopqrstuvwxyz"
PAD, START, END, FIRST = range(4)  # the first phoneme behind the others
LONGEST = 20  # letters of a word, and phonemes of what is said

Said = tuple[str, ...]
Known = dict[str, list[Said]]


def dictionary(data_dir: str | None) -> tuple[Known, list[str]]:
    """The words of at most `LONGEST` letters, what is said in at most as many phonemes; and all phonemes."""
    known = {
        word: said
        for word, said in cmudict(data_dir).items()
        if word.isascii() and word.isalpha() and max(len(word), *map(len, said)) <= LONGEST
    }
    return known, sorted({phoneme for said in known.values() for own in said for phoneme in own})


def parts(known: Known) -> tuple[list[str], list[str], list[str]]:
    """Words that train, that validate, a fiftieth, and that test, a twentieth."""
    words = list(known)
    rest, test = split({"row": np.arange(len(words))}, 0.05, seed=SPLIT_SEED)
    training, validation = split(rest, 0.02, seed=SPLIT_SEED)
    of = lambda part: [words[row] for row in part["row"]]
    return of(training), of(validation), of(test)


def letters(words: Sequence[str], length: int) -> dict[str, np.ndarray]:
    """Rows x (n, length) of letters, and the "length" of each."""
    x, lengths = pad([np.array([LETTERS.index(letter) for letter in word]) for word in words], length)
    return {"x": x, "length": lengths}


def encode(words: Sequence[str], known: Known, phonemes: Sequence[str], length: int) -> dict[str, np.ndarray]:
    """A row for each way to say a word, of those that fit: its `letters`, and phonemes y (n, length + 1)."""
    pairs = [(word, own) for word in words for own in known[word] if len(word) <= length and len(own) < length]
    ids = {name: FIRST + i for i, name in enumerate(phonemes)}
    y, _ = pad([np.array([START, *(ids[phoneme] for phoneme in own), END]) for _, own in pairs], length + 1)
    return {**letters([word for word, _ in pairs], length), "y": y}


def decode(ids: Sequence[int], phonemes: Sequence[str]) -> Said:
    """Phonemes of ids up to the end, without what is none."""
    until = ids[: list(ids).index(END)] if END in ids else ids
    return tuple(phonemes[i - FIRST] for i in until if i >= FIRST)


def bare(said: Said) -> Said:
    """Phonemes without stress."""
    return tuple(phoneme.rstrip("012") for phoneme in said)


def nearest(said: Said, known: Sequence[Said]) -> Said:
    """Nearest by edit distance of the ways to say a word; of several such, the first."""
    return min(known, key=lambda own: jnn.metrics.edit_distance(said, own))


def error_rates(found: Sequence[Said], known: Sequence[Sequence[Said]]) -> dict[str, float]:
    """Phoneme error rate against nearest pronunciations, word error rate (words that are none); and without stress."""
    rates = {}
    for name, form in (("", lambda said: said), ("unstressed_", bare)):
        ours = [form(said) for said in found]
        theirs = [nearest(said, [form(own) for own in each]) for said, each in zip(ours, known, strict=True)]
        texts = [list(map(" ".join, each)) for each in (ours, theirs)]
        rates[f"{name}phoneme_error_rate"] = float(jnn.metrics.word_error_rate(*texts).value())
        rates[f"{name}word_error_rate"] = float(np.mean([a != b for a, b in zip(ours, theirs, strict=True)]))
    return rates
