"""All rows of a set by one program, so many at a time: what does not fit into memory at once, or into the compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jnn.data import in_order


def in_chunks(f: Callable[[dict[str, Any]], Any], rows: Mapping[str, np.ndarray], most: int) -> Any:
    """What f makes of batches of at most so many rows: an array (n, ...) of all n of them, or a tree of such arrays.

    >>> in_chunks(lambda batch: 2 * batch["x"], {"x": np.arange(5.0)}, 2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    n = len(next(iter(rows.values())))
    found = [f(batch) for batch in in_order(rows, min(most, n))]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *found)
