"""Whether two trees are equal up to rounding, and where they are not."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

ROUNDING = 2e-5  # of float32, of a few sums in another order


def assert_close(found: Any, expected: Any, *, tolerance: float = ROUNDING, what: str) -> None:
    """Raises unless two trees are equal.

    Args:
      found, expected: trees of arrays.
      tolerance: of |found - expected|, relative to 1 + |expected|; 0 means the same bits.
      what: what they are, for people.

    Raises:
      AssertionError: names the first array that differs, the largest difference, and where it is.
    """
    ours: Any = jax.tree.structure(found)
    theirs: Any = jax.tree.structure(expected)
    if ours != theirs:
        raise AssertionError(f"{what}: the outputs are {ours} and {theirs}")
    leaves = zip(jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True)
    for (path, x), y in leaves:
        where = jax.tree_util.keystr(path)
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise AssertionError(f"{what}: output{where} is {x.dtype}{x.shape} and {y.dtype}{y.shape}")
        a, b = (np.asarray(z).astype(np.float64) for z in (x, y))
        with np.errstate(invalid="ignore"):  # equal infinities
            wrong = ~((np.abs(a - b) <= tolerance * (1 + np.abs(b))) | (a == b) | (np.isnan(a) & np.isnan(b)))
        if wrong.any():
            at = np.unravel_index(np.argmax(np.where(wrong, np.abs(np.nan_to_num(a - b)), -1)), a.shape)
            raise AssertionError(
                f"{what}: output{where}{[int(i) for i in at]} is {a[at]:.6g} and {b[at]:.6g}; "
                f"{int(wrong.sum())} of {a.size} numbers differ by more than {tolerance:g}"
            )
