"""What compressed parameters take on a disk, counted: values, where they are, and tables.

storage(p, masks=masks, codes=codes) -> Storage        in bytes
huffman_bits(counts) -> int
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnn import checks
from jnn.compression._masks import Masks, check_masks
from jnn.compression._shared import check_codes
from jnn.param import Params, flatten

GAP = 255  # the most that the place of a weight is behind that of the one before it: a filler is a zero between


class Storage(NamedTuple):
    """Storage of parameters, in bytes.

    Attributes:
      values: the weights that are left: as they are, or by Huffman's code of their codes.
      places: how far each is from the one before it, by Huffman's code.
      tables: centroids, and the length of each code word.
    """

    values: float
    places: float
    tables: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.values + self.places + self.tables


def storage(p: Params, *, masks: Masks | None = None, codes: Any = None) -> Storage:
    """Compressed size: the bytes of parameters, of which some are pruned, or share values, or both.

    Counted as in "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
    Coding", Han, Mao and Dally, 2016: of what is pruned the gap from one weight to the next, at most 255, and of
    codes and gaps Huffman's code, leaf by leaf.

    Args:
      p: a model's parameters, of any tree; abstract ones will do.
      masks: of what is pruned, True for what is left.
      codes: of `share_weights`, of what shares values.

    Raises:
      TypeError: masks or codes are none.
      ValueError: masks or codes are for what p has not, or of other shapes.

    >>> p = {"w": np.zeros((10, 10), np.float32), "b": np.zeros(10, np.float32)}
    >>> storage(p).total
    440.0
    >>> storage(p, codes={"w": np.arange(100).reshape(10, 10) % 2}).values
    52.5
    """
    left, coded = _given(check_masks, masks, p), _given(check_codes, codes, p)
    parts = [_of_leaf(x, left.get(path), coded.get(path)) for path, x in flatten(p).items()]
    return Storage(*(float(sum(part[i] for part in parts)) for i in range(3)))


def _given(check: Callable[[str, Any, Any], dict[str, Any]], tree: Any, p: Params) -> dict[str, Any]:
    return {} if tree is None else check("storage", tree, p)


def _of_leaf(x: Any, mask: Any, codes: Any) -> Storage:
    each, size = np.dtype(x.dtype).itemsize, int(np.prod(x.shape))
    if mask is None and codes is None:
        return Storage(each * size, 0, 0)
    there = np.arange(size) if mask is None else np.flatnonzero(np.asarray(mask))
    gaps = _gaps(there) if mask is not None else np.zeros(size, int)
    fillers, (places, lengths) = len(gaps) - len(there), (_coded(gaps) if mask is not None else (0.0, 0))
    if codes is None:
        return Storage(each * len(gaps), places, lengths)
    kept = np.concatenate([np.asarray(codes).ravel()[there].astype(int), np.full(fillers, -1)])  # one more symbol
    values, words = _coded(kept)
    centroids = len(np.unique(kept)) - bool(fillers)
    return Storage(values, places, lengths + words + each * centroids)


def _gaps(there: np.ndarray) -> np.ndarray:
    """How far each place is behind the one before it; where that is too far, fillers of the most that is possible."""
    steps = np.diff(there, prepend=-1)
    fillers = (steps - 1) // GAP
    return np.concatenate([steps - GAP * fillers, np.full(fillers.sum(), GAP)])


def _coded(symbols: np.ndarray) -> tuple[float, int]:
    """Bytes of symbols by Huffman's code, and of the lengths of its words."""
    counts = np.unique(symbols, return_counts=True)[1]
    return huffman_bits(counts.tolist()) / 8, len(counts)


def huffman_bits(counts: Sequence[int]) -> int:
    """Huffman code's size: the bits of all symbols, by how often each occurs.

    See "A Method for the Construction of Minimum-Redundancy Codes", Huffman, 1952.

    Args:
      counts: of each symbol; those that are 0 have no word, and the only one of a text a bit each time.

    Raises:
      ValueError: one is no integer of 0 or more.

    >>> huffman_bits([4, 2, 1, 1])
    14
    """
    for count in counts:
        checks.count("huffman_bits", "counts", count, least=0)
    heap = [int(count) for count in counts if count]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, both)
        bits += both
    return bits
