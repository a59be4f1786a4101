"""Texts that experiments with language models train on, in pieces of a tokenizer that is trained on them.

    reading(...) -> Reading       plays, speeches and reviews, most of them without labels
    programs(...) -> Programs     Python

As in `datasets`, what is held out has a fixed seed, and nothing is fitted on it.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.datasets import SPLIT_SEED
from experiments.refusals import refuse
from jnn import data
from jnn.data import Tokenizer

END, MASK, FIRST = 0, 1, 2  # ids: what stands behind a text, what hides a piece, and the first one of text
SPECIAL = ("<|endoftext|>", "<|mask|>")
OTHERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "pydoc_data", "turtledemo"}
FITTED = 5000  # reviews that the tokenizer is trained on, beside the rest


class Reading(NamedTuple):
    """Text in pieces, and labels of a few of its reviews.

    ids: (n,) of all that pre-trains, one text behind the other, with an end behind each.
    held_out: what is held out of the reviews, the plays and the speeches, likewise.
    train, choose, test: reviews, x (n, t) of the last t pieces of each, their number in `length`, y in 0..1.
    """

    tokenizer: Tokenizer
    ids: np.ndarray
    held_out: dict[str, np.ndarray]
    train: dict[str, np.ndarray]
    choose: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


def reading(data_dir: str | None, vocabulary: int, length: int, *, train: int, choose: int, test: int) -> Reading:
    """Shakespeare's plays, the State of the Union addresses and IMDB's training reviews, with labels of a few.

    Of the plays and of the speeches the last fiftieth is held out, of the reviews those that choose.

    Args:
      data_dir: as for `jnn.data.data_root`.
      vocabulary: pieces of the tokenizer.
      length: pieces of a review with a label, at most.
      train, choose, test: how many of these there are; the last are of IMDB's test.
    """
    (texts, y), (tests, test_y) = (data.imdb(data_dir, part) for part in ("train", "test"))
    if train + choose > len(texts) or test > len(tests):
        found = f"{train} and {choose} of {len(texts)}, {test} of {len(tests)}"
        refuse(f"--train-reviews, --choose-reviews, --test-reviews: expected as many as there are, found {found}.", 2)
    choosing, rest = np.split(_order(len(texts)), [choose])
    kept, held = zip(*map(_cut, plays_and_speeches(data_dir)), strict=True)
    fitting = [*kept, *(texts[i] for i in rest[:FITTED])]
    tokenizer = data.train_tokenizer(fitting, vocabulary, special=SPECIAL)
    own = {"reviews": [texts[i] for i in choosing], "plays": held[:1], "speeches": held[1:]}

    def labelled(texts: Sequence[str], y: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        x, lengths = data.pad(tokenizer.encode_all([texts[i] for i in rows]), length, keep="last")
        return {"x": x, "length": lengths, "y": y[rows]}

    return Reading(
        tokenizer,
        _joined(tokenizer, [*kept, *(texts[i] for i in rest)]),
        {name: _joined(tokenizer, some) for name, some in own.items()},
        labelled(texts, y, rest[:train]),
        labelled(texts, y, choosing),
        labelled(tests, test_y, _order(len(tests))[:test]),
    )


def plays_and_speeches(data_dir: str | None) -> tuple[str, str]:
    """Shakespeare's plays, and the State of the Union addresses in the order of their years."""
    plays = data.find(data_dir, "shakespeare/input.txt", how="put his plays there as one text")
    how = "put the State of the Union addresses there, YEAR_PRESIDENT_PARTY.txt each"
    speeches = data.find(data_dir, "sotu/1790_george_washington_n.txt", how=how).parent.glob("*.txt")
    return plays.read_text("utf-8"), "\n".join(path.read_text("utf-8") for path in sorted(speeches))


def _order(n: int) -> np.ndarray:
    """The files are ordered by label."""
    return np.random.default_rng(SPLIT_SEED).permutation(n)


def _cut(text: str) -> tuple[str, str]:
    """All but the last fiftieth, and that."""
    at = len(text) * 49 // 50
    return text[:at], text[at:]


def _joined(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    return np.concatenate([np.append(ids, np.int32(END)) for ids in tokenizer.encode_all(texts)])


class Programs(NamedTuple):
    """Python, in pieces of which none is of two lines.

    ids: (n,) of all files that train, one behind the other, with an end behind each.
    held_out: the text of each file that is held out, by its path.
    """

    tokenizer: Tokenizer
    ids: np.ndarray
    held_out: dict[str, str]

    def pieces(self, text: str) -> np.ndarray:
        """The ids of a text, line by line."""
        return np.concatenate([np.zeros(0, np.int32), *self.tokenizer.encode_all(text.splitlines(keepends=True))])


def programs(folder: str | None, vocabulary: int) -> Programs:
    """The standard library of the Python that runs, or the Python files below a folder, those of ASCII alone.

    A tenth of the files is held out, by a hash of their paths: which ones does not hang on what else there is.
    """
    root = Path(folder or sysconfig.get_path("stdlib"))
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py")) if _is_source(root, path)}
    held = {name for name in files if hashlib.sha256(name.encode()).digest()[0] % 10 == 0}
    texts = {name: text.decode() for name, path in files.items() if (text := path.read_bytes()).isascii()}
    kept, held_out = ([text for name, text in texts.items() if (name in held) == which] for which in (False, True))
    if not (any(kept) and any(held_out)):
        refuse(f"--sources: expected Python files to train on and to hold out, found {len(files)} below {root}.", 1)
    lines = [line for text in kept for line in text.splitlines(keepends=True)]
    tokenizer = data.train_tokenizer(lines, vocabulary, special=SPECIAL[:1])
    found = Programs(tokenizer, np.zeros(0, np.int32), {name: texts[name] for name in texts if name in held})
    return found._replace(ids=np.concatenate([np.append(found.pieces(text), np.int32(END)) for text in kept]))


def _is_source(root: Path, path: Path) -> bool:
    """Whether a file was written by people and is no test, no table and no package of others."""
    parts = path.relative_to(root).parts
    return not OTHERS & {*parts} and not any(part.startswith(("_sysconfigdata", "config-")) for part in parts)
