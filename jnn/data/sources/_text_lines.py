"""Lines of plain text in UTF-8, and two corpora of them: a pronouncing dictionary, and pairs of sentences.

Law: any sequence of bytes gives either the records that it encodes or a ValueError that names the file and the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jnn.data.sources._root import PathLike, check_part, find

Pronunciations = dict[str, list[tuple[str, ...]]]


def cmudict(data_dir: PathLike | None = None) -> Pronunciations:
    """The CMU Pronouncing Dictionary: English words and their phonemes, in `cmudict/cmudict.dict`.

    See "The CMU Pronouncing Dictionary", Carnegie Mellon University, 1993 to 2015: phonemes of ARPAbet, vowels with
    their stress, 0 to 2.

    Args:
      data_dir: as for `data_root`.

    Returns:
      What `read_pronunciations` does: some 126,000 words.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file.
    """
    return read_pronunciations(find(data_dir, "cmudict/cmudict.dict", how="put the CMU Pronouncing Dictionary there"))


def read_pronunciations(path: PathLike) -> Pronunciations:
    """Pronouncing dictionary: a word and its phonemes a line, `word(2)` another way to say it; `#` begins a comment.

    Args:
      path: the file, in UTF-8.

    Returns:
      {word: its pronunciations}, each a tuple of phonemes, in the file's order.

    Raises:
      ValueError: a line without phonemes, or not UTF-8; or no line at all.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("read R EH1 D\\nread(2) R IY1 D # now\\n")
    ...     file.flush()
    ...     read_pronunciations(file.name)
    {'read': [('R', 'EH1', 'D'), ('R', 'IY1', 'D')]}
    """
    found: Pronunciations = {}
    for where, line in text_lines(Path(path)):
        word, *phonemes = line.split(" #")[0].split() or [";;;"]
        if word.startswith(";;;"):
            continue
        if not phonemes:
            raise ValueError(f"{where}: expected a word and its phonemes, found {line[:60]!r}.")
        found.setdefault(_without_number(word), []).append(tuple(phonemes))
    if not found:
        raise ValueError(f"{Path(path).name}: expected a word and its phonemes a line, found none.")
    return found


def libreoffice_en_de(data_dir: PathLike | None = None, part: str = "train") -> tuple[list[str], list[str]]:
    """LibreOffice's help in English and German: 28,000 pairs of sentences and phrases, and pages of their own to test.

    Args:
      data_dir: as for `data_root`; the files are `libreoffice_en_de/train.tsv` and `libreoffice_en_de/test.tsv`.
      part: "train" or "test".

    Returns:
      English, and German.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: an unknown part, or a damaged file.
    """
    check_part("libreoffice_en_de", part)
    how = "put the pairs of LibreOffice's translated help there, English, a tab and German a line"
    return read_pairs(find(data_dir, f"libreoffice_en_de/{part}.tsv", how=how))


def read_pairs(path: PathLike) -> tuple[list[str], list[str]]:
    """Sentence pairs: a text, a tab and its translation a line. Quotes are characters as others are.

    Args:
      path: the file, in UTF-8.

    Returns:
      The texts before the tabs, and those behind.

    Raises:
      ValueError: a line of more or fewer texts, or an empty one, or not UTF-8; or no line at all.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("Save\\tSpeichern\\n")
    ...     file.flush()
    ...     read_pairs(file.name)
    (['Save'], ['Speichern'])
    """
    pairs = []
    for where, line in text_lines(Path(path)):
        pair = tuple(text.strip() for text in line.split("\t"))
        if len(pair) != 2 or not all(pair):
            raise ValueError(f"{where}: expected two texts with a tab between, found {line[:60]!r}.")
        pairs.append(pair)
    if not pairs:
        raise ValueError(f"{Path(path).name}: expected two texts with a tab between a line, found none.")
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, and where it is. A line ends with \\n, whatever Unicode calls a line's end."""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path.name}: line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise ValueError(f"{where}: not UTF-8 at byte {error.start}.") from error
            if text.strip():
                yield where, text


def _without_number(word: str) -> str:
    """`word(2)` is another way to say `word`."""
    head, bracket, number = word.rpartition("(")
    return head if head and bracket and number[:-1].isdecimal() and number.endswith(")") else word
