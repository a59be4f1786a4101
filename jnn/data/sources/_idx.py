"""IDX, the file format of MNIST: a magic number, the dimensions, then the elements, all big-endian.

    offset 0   two zero bytes, a dtype code, the number of dimensions
    offset 4   one uint32 per dimension
    then       the elements in row-major order, and nothing after them

Law: any sequence of bytes gives either the array that it encodes or a ValueError that names the
file and the offset.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from jnn.data.sources._budget import budget, read_within
from jnn.data.sources._root import PathLike, check_part, find

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_idx(path: PathLike) -> np.ndarray:
    """IDX: the array in a file, compressed by gzip or not.

    See "Gradient-Based Learning Applied to Document Recognition", LeCun et al., 1998, whose data
    came in this format.

    Args:
      path: a file; compression is told from its content, not from its name.

    Returns:
      An array of the file's shape and dtype, in native byte order.

    Raises:
      ValueError: not an IDX file, or one with missing or surplus bytes.
    """
    return _decode(Path(path).name, _unpack(Path(path)))


def mnist(data_dir: PathLike | None = None, part: str = "train", *, name: str = "mnist") -> dict[str, np.ndarray]:
    """MNIST (LeCun et al., 1998), or Fashion-MNIST (Xiao et al., 2017), in their original files.

    Args:
      data_dir: as for `data_root`; the files lie in its folder `name`.
      part: "train" (60,000 images) or "test" (10,000).
      name: "mnist" or "fashion_mnist".

    Returns:
      `{"x": (n, 28, 28) uint8, "y": (n,) int32}`.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: an unknown part, a damaged file, or images and labels that do not belong together.
    """
    check_part("mnist", part)
    prefix = "train" if part == "train" else "t10k"
    how = f"put the four original files of {name} there (train-images-idx3-ubyte.gz and so on)"
    images_at = find(data_dir, f"{name}/{prefix}-images-idx3-ubyte.gz", how=how)
    labels_at = find(data_dir, f"{name}/{prefix}-labels-idx1-ubyte.gz", how=how)
    images, labels = read_idx(images_at), read_idx(labels_at)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"{images_at.name}: expected uint8 images (n, y, x), found {images.dtype}{images.shape}.")
    if labels.shape != images.shape[:1] or labels.dtype != np.uint8:
        raise ValueError(
            f"{labels_at.name}: expected {len(images)} uint8 labels, one per image, found {labels.dtype}{labels.shape}."
        )
    return {"x": images, "y": labels.astype(np.int32)}


def _unpack(path: Path) -> bytes:
    raw = path.read_bytes()
    if not raw.startswith(_GZIP):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            return read_within(file, budget(len(raw)), path.name)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: damaged gzip data ({error}). Fetch the file again.") from error


def _decode(name: str, data: bytes) -> np.ndarray:
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        codes = ", ".join(f"{code:#04x}" for code in _DTYPES)
        raise ValueError(
            f"{name}: offset 0: expected an IDX magic number (00 00, one of {codes}, the number of dimensions), "
            f"found {data[:4].hex(' ') or 'an empty file'}."
        )
    dtype, start = np.dtype(_DTYPES[data[2]]), 4 + 4 * data[3]
    if data[3] == 0:
        raise ValueError(f"{name}: offset 3: expected at least one dimension, found 0.")
    if len(data) < start:
        raise ValueError(
            f"{name}: offset 4: expected {data[3]} dimensions of 4 bytes each, the file ends at {len(data)}."
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", data[3], 4))
    end = start + math.prod(shape) * dtype.itemsize
    if 0 in shape:
        raise ValueError(
            f"{name}: offset {4 + 4 * shape.index(0)}: expected at least one element, found shape {shape}."
        )
    if len(data) != end:
        raise ValueError(f"{name}: offset {start}: shape {shape} ends at offset {end}, the file at {len(data)}.")
    try:
        return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # more dimensions than NumPy has
        raise ValueError(f"{name}: offset 3: {data[3]} dimensions cannot be held in an array ({error}).") from error
