"""Python programs to train language models on, in pieces of a tokenizer that is trained on them.

    programs(folder, vocab) -> Programs

Which files are held out does not hang on what else there is.
"""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.refusals import refuse
from jnn import data
from jnn.data import Tokenizer

END, SPECIAL = 0, ("<|endoftext|>",)  # what stands behind a file: its id, and how it is written
OTHERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "pydoc_data", "turtledemo"}


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


def programs(folder: str | None, vocab: int) -> Programs:
    """The standard library of the Python that runs, or the Python files below a folder, those of ASCII alone.

    A tenth of the files is held out, by a hash of their paths.
    """
    root = Path(folder or sysconfig.get_path("stdlib"))
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.py")) if _is_source(root, path)}
    held = {name for name in files if hashlib.sha256(name.encode()).digest()[0] % 10 == 0}
    texts = {name: text.decode() for name, path in files.items() if (text := path.read_bytes()).isascii()}
    kept, held_out = ([text for name, text in texts.items() if (name in held) == which] for which in (False, True))
    if not (any(kept) and any(held_out)):
        refuse(f"--sources: expected Python files to train on and to hold out, found {len(files)} below {root}.", 1)
    lines = [line for text in kept for line in text.splitlines(keepends=True)]
    tokenizer = data.train_tokenizer(lines, vocab, special=SPECIAL)
    found = Programs(tokenizer, np.zeros(0, np.int32), {name: texts[name] for name in texts if name in held})
    return found._replace(ids=np.concatenate([np.append(found.pieces(text), np.int32(END)) for text in kept]))


def _is_source(root: Path, path: Path) -> bool:
    """Whether a file was written by people and is no test, no table and no package of others."""
    parts = path.relative_to(root).parts
    return not OTHERS & {*parts} and not any(part.startswith(("_sysconfigdata", "config-")) for part in parts)
