"""Patterns of sparse attention, block by block: bool arrays of NumPy (n, n), True where queries of a block see keys.

    sliding_window_blocks(n, 2) | global_blocks(n, [0])         Longformer
    bigbird_blocks(n, random=3)                                 and some by chance
    strided_blocks(n, 4), fixed_blocks(n, 4)                    Sparse Transformer

Combine them by `|` and `&`; `block_sparse_attention` computes them, with `causal` those up to a query's own alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jnn import checks


def sliding_window_blocks(n: int, window: int) -> np.ndarray:
    """Sliding-window pattern: block i sees the blocks with |i - j| < window; local attention.

    See "Longformer: The Long-Document Transformer", Beltagy et al., 2020.

    Args:
      n: how many blocks there are.
      window: of blocks, the query's own among them; 2 for the neighbours on either side.

    Returns:
      (n, n), bool.

    Raises:
      ValueError: n or window is not 1 or more.

    >>> sliding_window_blocks(3, 2).astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    """
    return np.abs(_apart("sliding_window_blocks", n, window=window)) < window


def global_blocks(n: int, at: Sequence[int]) -> np.ndarray:
    """Global pattern: these blocks see all blocks, and are seen by all; as in Longformer and BigBird.

    See "Longformer: The Long-Document Transformer", Beltagy et al., 2020.

    Args:
      n: how many blocks there are.
      at: which of them, from the end where negative.

    Returns:
      (n, n), bool.

    Raises:
      ValueError: n is not 1 or more, or there is no such block.

    >>> global_blocks(3, [0]).astype(int).tolist()
    [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    """
    checks.count("global_blocks", "n", n)
    if outside := [i for i in at if i not in range(-n, n)]:
        raise ValueError(f"global_blocks: expected blocks in 0..{n - 1}, found {outside}.")
    chosen = np.zeros(n, bool)
    chosen[list(at)] = True
    return chosen[:, None] | chosen


def random_blocks(n: int, count: int, *, seed: int, beside: np.ndarray | None = None) -> np.ndarray:
    """Random pattern: each block sees `count` blocks by chance.

    See "Big Bird: Transformers for Longer Sequences", Zaheer et al., 2020.

    Args:
      n: how many blocks there are.
      count: how many each sees; all where there are not as many.
      seed: the same one gives the same pattern.
      beside: (n, n), bool: blocks that are seen anyway, and not drawn; None for none.

    Returns:
      (n, n), bool.

    Raises:
      ValueError: n is not 1 or more, count not 0 or more, or beside of another shape.

    >>> random_blocks(4, 2, seed=0).sum(1).tolist()
    [2, 2, 2, 2]
    """
    checks.count("random_blocks", "n", n)
    checks.count("random_blocks", "count", count, least=0)
    seen = np.zeros((n, n), bool) if beside is None else np.asarray(beside)
    if seen.shape != (n, n) or seen.dtype != bool:
        raise ValueError(f"random_blocks: expected beside bool[{n},{n}], found {checks.describe(seen)}.")
    drawn, free = np.random.default_rng(seed).random((n, n)), ~seen
    place = np.argsort(np.argsort(np.where(free, drawn, 2.0), axis=1), axis=1)
    return free & (place < count)


def bigbird_blocks(
    n: int, *, window: int = 2, at: Sequence[int] = (0, -1), random: int = 3, seed: int = 0
) -> np.ndarray:
    """BigBird pattern: a sliding window, global blocks, and some by chance.

    See "Big Bird: Transformers for Longer Sequences", Zaheer et al., 2020.

    Args:
      n: how many blocks there are; of 64 rows each in the paper.
      window: of blocks, as in `sliding_window_blocks`.
      at: which are global, as in `global_blocks`.
      random: how many others each sees by chance.
      seed: of chance.

    Returns:
      (n, n), bool.

    Raises:
      ValueError: as the three patterns.

    >>> bigbird_blocks(16).sum(1).tolist()
    [16, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 16]
    """
    seen = sliding_window_blocks(n, window) | global_blocks(n, at)
    return seen | random_blocks(n, random, seed=seed, beside=seen)


def strided_blocks(n: int, stride: int) -> np.ndarray:
    """Strided pattern: block i sees those with |i - j| < stride, and every stride-th.

    See "Generating Long Sequences with Sparse Transformers", Child et al., 2019.

    Args:
      n: how many blocks there are.
      stride: of blocks, about the root of n.

    Returns:
      (n, n), bool.

    Raises:
      ValueError: n or stride is not 1 or more.

    >>> strided_blocks(5, 2)[0].astype(int).tolist()
    [1, 1, 1, 0, 1]
    """
    apart = _apart("strided_blocks", n, stride=stride)
    return (np.abs(apart) < stride) | (apart % stride == 0)


def fixed_blocks(n: int, stride: int, *, summaries: int = 1) -> np.ndarray:
    """Fixed pattern: a block sees those of its own stretch, and the last ones of every stretch.

    See "Generating Long Sequences with Sparse Transformers", Child et al., 2019.

    Args:
      n: how many blocks there are.
      stride: how many make a stretch.
      summaries: how many of a stretch all others see.

    Returns:
      (n, n), bool.

    Raises:
      ValueError: n, stride or summaries is not 1 or more.

    >>> fixed_blocks(4, 2).astype(int).tolist()
    [[1, 1, 0, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    """
    _apart("fixed_blocks", n, stride=stride, summaries=summaries)
    of, within = np.divmod(np.arange(n), stride)
    return (of[:, None] == of) | (within >= stride - summaries)


def _apart(pattern: str, n: int, **counts: int) -> np.ndarray:
    """i - j of blocks i and j, (n, n), once all counts are known to be 1 or more."""
    for name, value in {"n": n, **counts}.items():
        checks.count(pattern, name, value)
    return np.subtract.outer(np.arange(n), np.arange(n))
