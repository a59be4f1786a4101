"""A text as a language model reads it: documents, tokens, and batches whose rows may begin short.

    read_text(path) -> text
    divide(text, separator) -> (documents that train, documents that validate)
    make_tokenizer(size, text, training, separator)              of characters, or of byte pairs
    tokenize(tokenizer, divided) -> Corpus                       and its batches
    Growing(batches, context, steps)[step]                       length warm-up

Laws: a document's tokens see those of no other; batches depend on (tokens, context, batch size, seed, step) alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.refusals import refuse
from jnn.data import Batches, Characters, Packed, Tokenizer, Windows, in_order, train_tokenizer, windows_in_order

STAGES = (8, 4, 2)  # of a length warm-up: the context over these, for as many steps each
Documents = list[str]


def read_text(path: str) -> str:
    """Text of a file in UTF-8."""
    try:
        text = Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        refuse(f"--text: {path} is not UTF-8 at offset {error.start}.", 1)
    if not text:
        refuse(f"--text: {path} is empty.", 1)
    return text


def divide(text: str, separator: str | None) -> tuple[Documents, Documents]:
    """Training and validation split, the last tenth: of documents, with a separator at each end, or of one text."""
    if separator is None:
        cut = int(0.9 * len(text))
        return [text[:cut]], [text[cut:]]
    documents = [part + separator for part in text.split(separator) if part]
    if len(documents) < 2:
        refuse(f"--separator: expected it between two documents at least, found {len(documents)}.", 1)
    cut = max(1, int(0.9 * len(documents)))
    return documents[:cut], documents[cut:]


def make_tokenizer(size: int | None, text: str, training: Documents, separator: str | None) -> Characters | Tokenizer:
    """Tokenizer of characters; or of byte pairs, of so many ids, trained on what trains, where a separator is one."""
    if size is None:
        return Characters.build(text)
    return train_tokenizer(training, size, special=() if separator is None else (separator,))


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Tokens of documents, (n,) each: of those that train, and of those that validate.

    Attributes:
      packed: whether rows are packed with documents; otherwise they are windows of one text.
      characters: how many a token of those that validate stands for, on average.
    """

    training: Sequence[np.ndarray]
    validating: Sequence[np.ndarray]
    packed: bool
    characters: float

    def batches(self, context: int, batch_size: int, seed: int) -> Windows | Batches:
        """Training batches."""
        if self.packed:
            return Batches(packed_rows(self.training, context), batch_size, seed=seed)
        return Windows(self.training[0], context, batch_size, seed=seed)

    def validation(self, context: int, batch_size: int) -> list[dict[str, np.ndarray]]:
        """Validation batches, each row once."""
        rows = packed_rows if self.packed else lambda documents, context: windows_in_order(documents[0], context)
        return in_order(rows(self.validating, context), batch_size)


def tokenize(tokenizer: Characters | Tokenizer, divided: tuple[Documents, Documents], *, packed: bool) -> Corpus:
    """Corpus of divided documents."""
    training, validating = ([tokenizer.encode(text) for text in documents] for documents in divided)
    characters = sum(map(len, divided[1])) / sum(map(len, validating))
    return Corpus(training, validating, packed, characters)


def packed_rows(documents: Sequence[np.ndarray], context: int) -> dict[str, np.ndarray]:
    """Packed rows of a context's length, by name: of which document each token is, and 0 of what fills up."""
    packed = Packed([document for document in documents if len(document) > 1], context)
    rows = [packed[row] for row in range(len(packed))]
    return {name: np.stack([row[name] for row in rows]) for name in ("x", "y", "segments", "positions")}


class Growing:
    """Length warm-up: batches whose rows are cut to an eighth of the context at first, then a fourth, then half.

    See "The Stability-Efficiency Dilemma: Investigating Sequence Length Warmup for Training GPT Models", Li et al.,
    2022. As many shapes as there are stages are compiled, and one more.

    Args:
      batches: of whole rows, by the step.
      context: their length.
      steps: of the warm-up.

    >>> from jnn.data import Windows
    >>> growing = Growing(Windows(np.arange(99), 32, 4, seed=0), 32, 300)
    >>> [growing[step]["x"].shape for step in (0, 99, 100, 299, 300)]
    [(4, 4), (4, 4), (4, 8), (4, 16), (4, 32)]
    """

    def __init__(self, batches: Windows | Batches, context: int, steps: int) -> None:
        self.batches, self.batch_size, self.context, self.steps = batches, batches.batch_size, context, steps

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        length = self.length(step)
        return {name: array[:, :length] if array.ndim > 1 else array for name, array in self.batches[step].items()}

    def length(self, step: int) -> int:
        """Of the rows of a step."""
        if step >= self.steps:
            return self.context
        return max(1, self.context // STAGES[step * len(STAGES) // self.steps])
