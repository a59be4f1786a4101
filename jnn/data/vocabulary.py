"""From text to integers: words, with padding and an unknown word, or characters.

    Words.build(texts, size).encode(text) -> ids          0 is padding, 1 is every unknown word
    pad(sequences, length, keep="first") -> (ids, lengths)
    Characters.build(text).encode(text) -> ids            and decode, its exact inverse

Laws: ids lie in 0..len(vocabulary)-1; `Characters` round-trips; padding comes after a sequence and
its length says where.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence

import numpy as np

PAD, UNKNOWN = 0, 1
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")


def words(text: str) -> list[str]:
    """Lower-case words and numbers; HTML line breaks and punctuation separate them.

    >>> words("It's <br /><br />GREAT, 10/10!")
    ["it's", 'great', '10', '10']
    """
    return _WORD.findall(text.lower().replace("<br />", " "))


@dataclasses.dataclass(frozen=True)
class Words:
    """A word-level vocabulary; `names[id]` is the word, after "<pad>" and "<unknown>".

    >>> vocabulary = Words.build(["a b a", "a c b"], size=4)
    >>> vocabulary.names, vocabulary.encode("a c b").tolist()
    (('<pad>', '<unknown>', 'a', 'b'), [2, 1, 3])
    """

    names: tuple[str, ...]

    @classmethod
    def build(cls, texts: Iterable[str], size: int) -> Words:
        """The most frequent words of the *training* texts, `size` ids in all; ties go alphabetically.

        Raises:
          ValueError: a size that leaves no word.
        """
        if size < 3:
            raise ValueError(f"Words: size counts padding and the unknown word too, so 3 or more; found {size}.")
        counts = collections.Counter(word for text in texts for word in words(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(("<pad>", "<unknown>", *ranked[: size - 2]))

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """The id of each name."""
        return {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text's words, (words,) int32; a text without words is one unknown word."""
        return np.array([self.ids.get(word, UNKNOWN) for word in words(text)] or [UNKNOWN], np.int32)


def pad(sequences: Sequence[np.ndarray], length: int, *, keep: str = "first") -> tuple[np.ndarray, np.ndarray]:
    """Truncates sequences to `length` ids, and fills up shorter ones with `PAD` at the end.

    Args:
      sequences: n arrays of ids, each with at least one.
      length: the length that all get.
      keep: whether a longer one keeps its "first" or its "last" ids.

    Returns:
      ids (n, length) int32, lengths (n,) int32.

    Raises:
      ValueError: no sequences, an empty one, a length below 1, or another `keep`.

    >>> ids, lengths = pad([np.array([5, 6, 7]), np.array([8])], 2, keep="last")
    >>> ids.tolist(), lengths.tolist()
    ([[6, 7], [8, 0]], [2, 1])
    """
    if keep not in ("first", "last") or length < 1:
        raise ValueError(f"pad: keep is 'first' or 'last' and length at least 1; found {keep!r}, {length}.")
    lengths = np.array([min(len(sequence), length) for sequence in sequences], np.int32)
    if not lengths.all() or not len(lengths):
        where = f"sequence {int(np.argmin(lengths))} empty" if len(lengths) else "none"
        raise ValueError(f"pad: expected sequences of at least one id, found {where}.")
    ids = np.full((len(sequences), length), PAD, np.int32)
    for row, sequence, n in zip(ids, sequences, lengths, strict=True):
        row[:n] = sequence[:n] if keep == "first" else sequence[-n:]
    return ids, lengths


@dataclasses.dataclass(frozen=True)
class Characters:
    """A character-level vocabulary; `names[id]` is the character.

    >>> vocabulary = Characters.build("hello")
    >>> vocabulary.names, vocabulary.decode(vocabulary.encode("hole"))
    ('ehlo', 'hole')
    """

    names: str

    @classmethod
    def build(cls, text: str) -> Characters:
        """Every character of the text, in the order of code points."""
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text's characters, (characters,) int32.

        Raises:
          ValueError: a character that the vocabulary lacks, with its place.
        """
        ids = {name: i for i, name in enumerate(self.names)}
        try:
            return np.fromiter((ids[character] for character in text), np.int32, len(text))
        except KeyError as error:
            unknown = error.args[0]
            raise ValueError(
                f"Characters: {unknown!r} at {text.index(unknown)} is not among the {len(self)} known characters."
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of these ids."""
        return "".join(self.names[i] for i in ids)
