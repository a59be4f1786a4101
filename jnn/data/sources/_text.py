"""Text corpora: labelled reviews in JSON lines, and plain text.

Law: any sequence of bytes gives either the records that it encodes or a ValueError that names the
file and the line.
"""

from __future__ import annotations

import numpy as np

from jnn.data.sources._damage import Skipped
from jnn.data.sources._jsonl import read_jsonl
from jnn.data.sources._root import PathLike, check_part, find


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
    check_part("imdb", part)
    how = 'put the Large Movie Review Dataset there, one {"text": ..., "label": 0 or 1} a line'
    return read_reviews(find(data_dir, f"imdb/{part}.jsonl", how=how))


def read_reviews(path: PathLike, *, skipped: Skipped | None = None) -> tuple[list[str], np.ndarray]:
    """Reviews: texts and labels from lines of `{"text": ..., "label": 0 or 1}`.

    Args:
      path: the file.
      skipped: counts damaged lines and leaves them out; None stops at the first.

    Raises:
      ValueError: a line that is not such an object; or no such line in the file.
    """
    records = read_jsonl(path, {"text": str, "label": (0, 1)}, skipped=skipped)
    return [record["text"] for record in records], np.array([record["label"] for record in records], np.int32)


def tinyshakespeare(data_dir: PathLike | None = None) -> str:
    """Tiny Shakespeare: a million characters of his plays, in `tinyshakespeare/input.txt`.

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
