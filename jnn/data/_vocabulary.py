"""From text to integers: words, with padding and an unknown word, or characters.

    Words.build(texts, size).encode(text) -> ids          0 is padding, 1 is every unknown word
    pad(sequences, length, keep="first") -> (ids, lengths)
    Characters.build(text).encode(text) -> ids            and decode, its exact inverse

Laws: ids lie in 0..len(vocabulary)-1; `Characters` round-trips; padding comes after a sequence and
its length says where; texts that Unicode calls equivalent have the same words, in every script.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from jnn.data._checked import check_count, is_numeric

PAD, UNKNOWN = 0, 1
_BREAK = re.compile(r"<br\s*/?>")
_WORD = re.compile(r"[^\W_][^ ']*(?:'[^\W_][^ ']*)*")  # after `_Parts`: a letter or a digit, and what belongs to it


class _Parts(dict[int, str]):
    """What becomes of each character, by its code point: a part of a word, an apostrophe, nothing, or a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if character in "'\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}":
            self[code] = "'"
        elif kind[0] in "LMN" or character in "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}":
            self[code] = character  # the two joiners are spelling, in Persian and in the scripts of India
        else:
            self[code] = "" if kind == "Cf" else " "  # other characters of format, such as soft hyphens, are not seen
        return self[code]


_PARTS = _Parts()


def words(text: str) -> list[str]:
    """Word tokenizer: lower-case words and numbers in any script; punctuation, symbols and HTML line breaks separate.

    A word is a run of letters, digits and combining marks, with apostrophes within it, in the composed form of Unicode
    (NFC). A script that puts no spaces between words, such as Chinese, Japanese or Thai, gives one word for each run:
    cut such texts into words before, or use `Characters`. See "Unicode Normalization Forms", Unicode Standard Annex 15.

    Raises:
      TypeError: no text.

    >>> words("It's <br /><br />GREAT, 10/10!"), words("Café naïve, Привет мир")
    (["it's", 'great', '10', '10'], ['café', 'naïve', 'привет', 'мир'])
    """
    if not isinstance(text, str):
        raise TypeError(f"words: expected a text, found {type(text).__name__}. Give a str: one text at a time.")
    lower = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    return _WORD.findall(_BREAK.sub(" ", lower).translate(_PARTS))


@dataclasses.dataclass(frozen=True)
class Words:
    """Word vocabulary; `names[id]` is the word, after "<pad>" and "<unknown>".

    >>> vocabulary = Words.build(["a b a", "a c b"], size=4)
    >>> vocabulary.names, vocabulary.encode("a c b").tolist()
    (('<pad>', '<unknown>', 'a', 'b'), [2, 1, 3])
    """

    names: tuple[str, ...]

    @classmethod
    def build(cls, texts: Iterable[str], size: int) -> Words:
        """The most frequent words of the *training* texts, `size` ids in all; ties go alphabetically.

        Raises:
          TypeError: one text instead of several.
          ValueError: a size that leaves no word.
        """
        if isinstance(texts, str):
            raise TypeError(
                "Words: expected several texts, found one str. Give a list of them: Words.build([text], size)."
            )
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
    """Padding: truncates sequences to `length` ids, and fills up shorter ones with `PAD` at the end.

    Args:
      sequences: n arrays of ids, each with at least one.
      length: the length that all get.
      keep: whether a longer one keeps its "first" or its "last" ids.

    Returns:
      ids (n, length) int32, lengths (n,) int32.

    Raises:
      ValueError: no sequences, an empty one, ids that are no integers or that int32 does not hold, a length below 1,
        or another `keep`.

    >>> ids, lengths = pad([np.array([5, 6, 7]), np.array([8])], 2, keep="last")
    >>> ids.tolist(), lengths.tolist()
    ([[6, 7], [8, 0]], [2, 1])
    """
    check_count("pad", "length", length)
    if keep not in ("first", "last"):
        raise ValueError(f"pad: keep is 'first' or 'last', found {keep!r}.")
    lengths = np.array([min(len(sequence), length) for sequence in sequences], np.int32)
    if not lengths.all() or not len(lengths):
        where = f"sequence {int(np.argmin(lengths))} empty" if len(lengths) else "none"
        raise ValueError(f"pad: expected sequences of at least one id, found {where}.")
    ids = np.full((len(sequences), length), PAD, np.int32)
    for i, (sequence, n) in enumerate(zip(sequences, lengths, strict=True)):
        ids[i, :n] = _ids(f"pad: sequence {i}", sequence[:n] if keep == "first" else sequence[-n:])
    return ids, lengths


def _ids(where: str, ids: Iterable[int]) -> np.ndarray:
    """Ids as they are, none of them rounded or wrapped around."""
    array, info = np.asarray(ids), np.iinfo(np.int32)
    if not is_numeric(array.dtype) or array.dtype.kind not in "iu" or array.ndim != 1:
        raise ValueError(f"{where}: expected a row of integers, found {array.dtype}{list(array.shape)}.")
    if array.size and not (info.min <= array.min() and array.max() <= info.max):
        raise ValueError(f"{where}: expected ids that int32 holds, found {array.min()}..{array.max()}.")
    return array


def valid_ids(where: str, ids: Iterable[int], size: int) -> np.ndarray:
    """Ids that are to be names again, all of them in 0..size-1."""
    found = _ids(where, ids if isinstance(ids, np.ndarray) else list(ids) or np.empty(0, int))
    outside = (found < 0) | (found >= size)
    if outside.any():
        at = int(np.argmax(outside))
        raise ValueError(f"{where}: expected ids in 0..{size - 1}, found {found[at]} at {at}.")
    return found


@dataclasses.dataclass(frozen=True)
class Characters:
    """Character vocabulary; `names[id]` is the character.

    >>> vocabulary = Characters.build("hello")
    >>> vocabulary.names, vocabulary.decode(vocabulary.encode("hole"))
    ('ehlo', 'hole')
    """

    names: str

    @classmethod
    def build(cls, text: str) -> Characters:
        """Every character of the text, in the order of code points; a combining mark is a character of its own."""
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
        """The text of these ids.

        Raises:
          ValueError: ids that are no integers, or outside 0..len(vocabulary)-1.
        """
        return "".join(self.names[i] for i in valid_ids("Characters", ids, len(self)))
