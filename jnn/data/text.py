"""Text corpora: labelled reviews in JSON lines, and plain text.

Law: any sequence of bytes gives either the records that it encodes or a ValueError that names the
file and the line.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from jnn.data.root import PathLike, find


def imdb(data_dir: PathLike | None = None, part: str = "train") -> tuple[list[str], np.ndarray]:
    """The IMDB reviews: 25,000 for training, 25,000 for testing; 1 is a favourable one.

    See "Learning Word Vectors for Sentiment Analysis", Maas et al., 2011.

    Args:
      data_dir: as for `data_root`; the files are `imdb/train.jsonl` and `imdb/test.jsonl`.
      part: "train" or "test".

    Returns:
      The texts, and their labels (n,) int32 in 0..1. The files are ordered by label: shuffle.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: an unknown part, or a damaged file.
    """
    if part not in ("train", "test"):
        raise ValueError(f"imdb: part is 'train' or 'test', found {part!r}.")
    how = 'put the Large Movie Review Dataset there, one {"text": ..., "label": 0 or 1} a line'
    return read_reviews(find(data_dir, f"imdb/{part}.jsonl", how=how))


def read_reviews(path: PathLike) -> tuple[list[str], np.ndarray]:
    """Texts and labels from lines of `{"text": ..., "label": 0 or 1}`.

    Raises:
      ValueError: a line that is not such an object, by number; or no line at all.
    """
    texts, labels = [], []
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{Path(path).name}: line {number}: not JSON in UTF-8 ({error}).") from error
            if not _is_review(record):
                raise ValueError(
                    f'{Path(path).name}: line {number}: expected {{"text": a string, "label": 0 or 1}}, '
                    f"found {line[:60]!r}."
                )
            texts.append(record["text"])
            labels.append(record["label"])
    if not texts:
        raise ValueError(f"{Path(path).name}: expected one review a line, found an empty file.")
    return texts, np.array(labels, np.int32)


def tinyshakespeare(data_dir: PathLike | None = None) -> str:
    """A million characters of Shakespeare's plays, in `tinyshakespeare/input.txt`.

    See "The Unreasonable Effectiveness of Recurrent Neural Networks", Karpathy, 2015.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a file that is empty or not UTF-8.
    """
    path = find(data_dir, "tinyshakespeare/input.txt", how="put the plain text of char-rnn's tinyshakespeare there")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: not UTF-8 at offset {error.start}.") from error
    if not text:
        raise ValueError(f"{path.name}: expected text, found an empty file.")
    return text


def _is_review(record: object) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return False
    label = record.get("label")
    return type(label) is int and label in (0, 1)
