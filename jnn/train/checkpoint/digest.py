"""The digest of a tree on the host: what an experiment prints, and what "bit-equal" means in the tests."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from jnn.param import flatten


def digest(tree: Any) -> str:
    """A SHA-256 over the paths, dtypes, shapes and bytes of a tree of arrays: equal iff bit-equal.

    >>> digest({"w": np.ones(2, np.float32)}) == digest({"w": np.ones(2, np.float32)})
    True
    """
    sha = hashlib.sha256()
    for path, leaf in sorted(flatten(tree).items()):
        array = np.asarray(leaf)
        sha.update(f"{path} {array.dtype} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
