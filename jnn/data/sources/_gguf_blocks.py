"""GGUF's blocks: a few fields one after the other, which say 32 or 256 numbers in 4 to 8 bits each.

    BLOCKS[type] -> Block(name, size, fields, values)      values: n blocks -> float32 (n, size)
    Quantized(block, data, shape)                          an array that is made when NumPy asks for it

d and m are what a block, or each part of it, is multiplied by and what is added; a number lies in the low or the high
half of a byte of q, its upper bits in h. Products and sums are in float32, in the order of the original, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_CHUNK = 2**18  # numbers made at once: their pieces take a few copies of them


class Block(NamedTuple):
    """A way to say `size` numbers by the fields of a structured dtype."""

    name: str
    size: int
    fields: np.dtype[Any]
    values: Callable[[np.ndarray], np.ndarray]


class Quantized:
    """Quantized array: blocks of a file, of which `np.asarray` makes float32, each time anew; nothing is kept.

    Args:
      block: how the numbers are said, such as `BLOCKS[2]`; its name is `type`.
      data: the bytes of all blocks.
      shape: of the array, whose last axis is whole blocks.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, block: Block, data: np.ndarray, shape: tuple[int, ...]) -> None:
        self.shape, self.type, self._block, self._data = shape, block.name, block, data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"{self!r} is made anew when it is read: np.asarray(x) without copy=False.")
        block, blocks = self._block, self._data.view(self._block.fields)
        made, step = np.empty((len(blocks), block.size), self.dtype), _CHUNK // block.size
        with np.errstate(invalid="ignore"):  # a scale may be infinite, and 0 times it is NaN
            for i in range(0, len(blocks), step):
                made[i : i + step] = block.values(blocks[i : i + step])
        return made.reshape(self.shape).astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"Quantized({self.type}, {self.shape})"


def _float(x: np.ndarray) -> np.ndarray:
    """Halves as float32, with an axis for what they scale."""
    return x.astype(np.float32)[..., None]


def _halves(q: np.ndarray) -> np.ndarray:
    """The low halves of the last axis' bytes, then the high ones."""
    return np.concatenate([q & 15, q >> 4], axis=-1)


def _q8_0(b: np.ndarray) -> np.ndarray:
    return _float(b["d"]) * b["q"]


def _q4_0(b: np.ndarray) -> np.ndarray:
    return _float(b["d"]) * (_halves(b["q"]).astype(np.int8) - np.int8(8))


def _q4_1(b: np.ndarray) -> np.ndarray:
    return _float(b["d"]) * _halves(b["q"]) + _float(b["m"])


def _of_5_bits(b: np.ndarray) -> np.ndarray:
    return _halves(b["q"]) | np.unpackbits(b["h"], axis=-1, bitorder="little") << 4


def _q5_0(b: np.ndarray) -> np.ndarray:
    return _float(b["d"]) * (_of_5_bits(b).astype(np.int8) - np.int8(16))


def _q5_1(b: np.ndarray) -> np.ndarray:
    return _float(b["d"]) * _of_5_bits(b) + _float(b["m"])


def _scaled(b: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Eight parts of 32 numbers, each with a factor and an offset of 6 bits, which share 12 bytes."""
    low, middle, high = np.split(b["s"], 3, axis=1)
    factors = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=1)
    offsets = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=1)
    return (_float(b["d"]) * factors)[..., None] * q - (_float(b["m"]) * offsets)[..., None]


def _q4_k(b: np.ndarray) -> np.ndarray:
    return _scaled(b, _halves(b["q"]).reshape(-1, 8, 32)).reshape(-1, 256)


def _q5_k(b: np.ndarray) -> np.ndarray:
    upper = np.unpackbits(b["h"][..., None], axis=-1, bitorder="little").swapaxes(1, 2)  # bit i is of part i
    return _scaled(b, _halves(b["q"]).reshape(-1, 8, 32) | upper << 4).reshape(-1, 256)


def _q6_k(b: np.ndarray) -> np.ndarray:
    upper = np.concatenate([b["h"] >> shift & 3 for shift in (0, 2, 4, 6)], axis=-1)
    q = (_halves(b["q"]) | upper << 4).astype(np.int8) - np.int8(32)
    return ((_float(b["d"]) * b["s"])[..., None] * q.reshape(-1, 16, 16)).reshape(-1, 256)


def _block(name: str, size: int, values: Callable[[np.ndarray], np.ndarray], *fields: Any) -> Block:
    return Block(name, size, np.dtype([*fields]), values)


_D, _M = ("d", "<f2"), ("m", "<f2")
BLOCKS = {
    2: _block("Q4_0", 32, _q4_0, _D, ("q", "u1", 16)),
    3: _block("Q4_1", 32, _q4_1, _D, _M, ("q", "u1", 16)),
    6: _block("Q5_0", 32, _q5_0, _D, ("h", "u1", 4), ("q", "u1", 16)),
    7: _block("Q5_1", 32, _q5_1, _D, _M, ("h", "u1", 4), ("q", "u1", 16)),
    8: _block("Q8_0", 32, _q8_0, _D, ("q", "i1", 32)),
    12: _block("Q4_K", 256, _q4_k, _D, _M, ("s", "u1", 12), ("q", "u1", (4, 32))),
    13: _block("Q5_K", 256, _q5_k, _D, _M, ("s", "u1", 12), ("h", "u1", 32), ("q", "u1", (4, 32))),
    14: _block("Q6_K", 256, _q6_k, ("q", "u1", (2, 64)), ("h", "u1", (2, 32)), ("s", "i1", 16), _D),
}


def bytes_of(block: Block, shape: tuple[int, ...]) -> int:
    """How many bytes the blocks of an array take.

    Raises:
      ValueError: its last axis is not of whole blocks.
    """
    if not shape or shape[-1] % block.size:
        raise ValueError(f"expected a last axis of whole blocks of {block.size} for {block.name}, found {shape}")
    return math.prod(shape) // block.size * block.fields.itemsize
