"""GGUF: arrays by name, most of them in blocks of few bits, and what else a language model needs.

    offset 0    "GGUF", the version (uint32), how many arrays and how many keys there are (uint64 each)
    then        the metadata: key, type, value
    then        of each array: its name, its shape from the last axis to the first, its type, its offset in the data
    then        the data, from a multiple of the alignment on; each array too begins at one

Laws: all that the file says of its arrays is checked before one is made; arrays are views of the file, so that nothing
is read before it is used, and what is quantized is made when NumPy asks for it. Any sequence of bytes gives either what
it encodes or a ValueError that names the file.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jnn.data.sources._extents import check_extents
from jnn.data.sources._gguf_blocks import BLOCKS, Quantized, bytes_of
from jnn.data.sources._gguf_metadata import Cursor, metadata
from jnn.data.sources._root import PathLike

_VERSIONS = (2, 3)
_PLAIN: dict[int, Any] = {
    0: np.float32,
    1: np.float16,
    24: np.int8,
    25: np.int16,
    26: np.int32,
    27: np.int64,
    28: np.float64,
    30: jnp.bfloat16,
}


class _Entry(NamedTuple):
    """What a file says of an array."""

    name: str
    shape: tuple[int, ...]
    type: int
    begin: int
    size: int  # in bytes


def read_gguf(path: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray | Quantized]]:
    """GGUF: the metadata and the arrays of a file by name; `jnn.load` makes each array when its turn comes.

    See "GGUF", ggml, 2023 (github.com/ggml-org/ggml/blob/master/docs/gguf.md).

    Args:
      path: the file. It must not be cut short while its arrays are in use: they are views of it.

    Returns:
      (metadata, arrays). Metadata are Python's numbers, booleans, texts, and lists of them. Arrays have NumPy's order
      of axes: a weight is (out, in), as in torch. What is kept in F32, F16, BF16, F64 or as integers is a read-only
      array; of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K `np.asarray(x)` makes float32.

    Raises:
      ValueError: another format or version, a type that is not among these, or a file that does not hold what it
        says it does.

    >>> import tempfile
    >>> head = b"GGUF" + (3).to_bytes(4, "little") + (1).to_bytes(8, "little") + bytes(8)
    >>> entry = (1).to_bytes(8, "little") + b"w" + bytes([2, 0, 0, 0, 32, *bytes(7), 1, *bytes(7), 8, *bytes(11)])
    >>> with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
    ...     _ = file.write((head + entry).ljust(96, b"\\0") + np.float16(0.5).tobytes() + bytes(range(32)))
    ...     file.flush()
    ...     metadata, arrays = read_gguf(file.name)
    ...     arrays["w"], np.asarray(arrays["w"])[0, :4].tolist()
    (Quantized(Q8_0, (1, 32)), [0.0, 0.5, 1.0, 1.5])
    """
    name, size = Path(path).name, Path(path).stat().st_size
    cursor = Cursor(name, np.asarray(np.memmap(path, np.uint8, "r")) if size else np.empty(0, np.uint8))
    if (magic := cursor.data[:4].tobytes()) != b"GGUF":
        raise cursor.error(f"expected b'GGUF', found {magic!r}")
    cursor.at = 4
    if (version := cursor.whole(4)) not in _VERSIONS:
        swapped = " It is of a machine of the other byte order." if version & 0xFFFF == 0 else ""
        raise cursor.error(f"expected version 2 or 3, found {version}.{swapped}".removesuffix("."))
    count, keys = cursor.whole(8), cursor.whole(8)
    found = metadata(cursor, keys)
    cursor.check(count, 24)  # of the shortest one
    entries = [_entry(cursor) for _ in range(count)]
    start = _start(cursor, entries, _alignment(cursor, found))
    return found, {entry.name: _array(cursor.data, start, entry) for entry in entries}


def _entry(cursor: Cursor) -> _Entry:
    name = cursor.text()
    dimensions = cursor.whole(4)
    if dimensions > 32:
        raise cursor.error(f"{name[:60]!r}: expected at most 32 axes, found {dimensions}")
    shape = tuple(reversed([cursor.whole(8) for _ in range(dimensions)]))
    if any(n >= 2**48 for n in shape):  # NumPy's own bounds are near; an empty array may claim them
        raise cursor.error(f"{name[:60]!r}: expected a shape that an array can have, found {shape}")
    kind, begin = cursor.whole(4), cursor.whole(8)
    if kind in _PLAIN:
        return _Entry(name, shape, kind, begin, math.prod(shape) * np.dtype(_PLAIN[kind]).itemsize)
    if kind not in BLOCKS:
        known = ", ".join([*(np.dtype(dtype).name for dtype in _PLAIN.values()), *(b.name for b in BLOCKS.values())])
        raise cursor.error(f"{name[:60]!r}: expected a type among {known}, found number {kind} of ggml's")
    try:
        return _Entry(name, shape, kind, begin, bytes_of(BLOCKS[kind], shape))
    except ValueError as error:
        raise cursor.error(f"{name[:60]!r}: {error}") from error


def _alignment(cursor: Cursor, found: dict[str, Any]) -> int:
    alignment = found.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise cursor.error(f"general.alignment: expected a power of 2, found {str(alignment)[:60]}")
    return alignment


def _start(cursor: Cursor, entries: list[_Entry], alignment: int) -> int:
    """Where the data start, which the arrays fill."""
    if len({entry.name for entry in entries}) < len(entries):
        raise ValueError(f"{cursor.name}: holds two arrays of the same name.")
    start = -(-cursor.at // alignment) * alignment
    extents = ((entry.name, entry.begin, entry.begin + entry.size) for entry in entries)
    # what is filled up to the data's start may be missing where there are none
    check_extents(cursor.name, extents, max(cursor.data.size - start, 0), alignment=alignment)
    return start


def _array(data: np.ndarray, start: int, entry: _Entry) -> np.ndarray | Quantized:
    content = np.asarray(data[start + entry.begin : start + entry.begin + entry.size])
    if entry.type in BLOCKS:
        return Quantized(BLOCKS[entry.type], content, entry.shape)
    return content.view(_PLAIN[entry.type]).reshape(entry.shape)
