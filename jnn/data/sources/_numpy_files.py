"""NumPy's own files, `.npy` and `.npz`, without pickle and without trusting a header.

    offset 0    "\\x93NUMPY", the version, the length of the header
    then        {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} as text
    then        the elements, and nothing after them

Laws: nothing is ever unpickled: numbers and booleans are read, objects are not. The declared shape is
held against the bytes that are there before an array is made. Any sequence of bytes gives either the
arrays that it encodes or a ValueError that names the file.
"""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jnn.data.sources._budget import budget, read_within
from jnn.data.sources._root import PathLike

_MAGIC = b"\x93NUMPY"
_HEADER = 2**16  # the longest header: an array of numbers needs 100 bytes
_DESCR = re.compile(r"[<>|=](b1|[iu][1248]|f[248]|c(8|16))")


def read_npy(path: PathLike) -> np.ndarray:
    """NumPy file: the array of an `.npy` file.

    See "A simple file format for NumPy arrays", Kern, 2007 (NumPy Enhancement Proposal 1).

    Args:
      path: the file.

    Returns:
      An array of the file's shape and dtype, in native byte order.

    Raises:
      ValueError: not such a file, objects instead of numbers, or missing or surplus bytes.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".npy") as file:
    ...     np.save(file, np.arange(3, dtype=np.int16))
    ...     file.flush()
    ...     read_npy(file.name)
    array([0, 1, 2], dtype=int16)
    """
    return _decode(Path(path).name, Path(path).read_bytes())


def read_npz(path: PathLike, *, max_bytes: int | None = None) -> dict[str, np.ndarray]:
    """NumPy archive: the arrays of an `.npz` file, by name.

    Args:
      path: the file.
      max_bytes: how much it may unpack to; None is a hundred times its size and a megabyte. Only very
        regular arrays need more, such as a large one of zeros.

    Returns:
      One array for each `name.npy` in it.

    Raises:
      ValueError: a damaged file, objects instead of numbers, or more bytes than it may unpack to.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     np.savez_compressed(file, x=np.zeros((2, 3)), y=np.arange(2, dtype=np.int32))
    ...     file.flush()
    ...     {name: array.shape for name, array in read_npz(file.name).items()}
    {'x': (2, 3), 'y': (2,)}
    """
    name, size = Path(path).name, Path(path).stat().st_size
    limit = budget(size) if max_bytes is None else max_bytes
    try:
        _check_start(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(name, members, limit)
            return {
                member.filename.removesuffix(".npy"): _decode(f"{name}: {member.filename}", _unpack(archive, member))
                for member in members
            }
    # the standard library's own for a damaged archive: encrypted members are RuntimeErrors, unknown methods
    # NotImplementedErrors, and its reads and seeks trust offsets
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, OverflowError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{name}: a damaged .npz file ({error}).") from error


def _check_start(path: PathLike) -> None:
    """An archive may stand behind other things, such as a program that unpacks it; not this one."""
    with open(path, "rb") as file:
        if (start := file.read(4)) not in (b"PK\x03\x04", b"PK\x05\x06"):
            raise zipfile.BadZipFile(f"it begins with {start!r}")


def _check(name: str, members: list[zipfile.ZipInfo], limit: int) -> None:
    for member in members:
        if not member.filename.endswith(".npy") or member.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise ValueError(f"{name}: expected .npy files, stored or deflated, found {member.filename[:60]!r}.")
    if len({member.filename for member in members}) < len(members):
        raise ValueError(f"{name}: holds two arrays of the same name.")
    if (claimed := sum(member.file_size for member in members)) > limit:
        raise ValueError(
            f"{name}: claims {claimed} bytes when unpacked, more than the {limit} that it may: read_npz(max_bytes=...)."
        )


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return read_within(file, member.file_size, member.filename)


def _decode(name: str, data: bytes) -> np.ndarray:
    start, dtype, fortran, shape = _header(name, data)
    if start + math.prod(shape) * dtype.itemsize != len(data):
        end = start + math.prod(shape) * dtype.itemsize
        raise ValueError(f"{name}: offset {start}: {dtype}{shape} ends at offset {end}, the data at {len(data)}.")
    try:
        if dtype.kind == "b" and (np.frombuffer(data, np.uint8, offset=start) > 1).any():
            raise ValueError("a boolean is neither 0 nor 1")
        array = np.frombuffer(data, dtype, offset=start) if len(data) > start else np.empty(0, dtype)
        return array.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="))
    except (ValueError, OverflowError) as error:  # more dimensions than NumPy has, or an empty array of endless ones
        raise ValueError(f"{name}: shape {str(shape)[:60]} cannot be held in an array ({error}).") from error


def _header(name: str, data: bytes) -> tuple[int, np.dtype[Any], bool, tuple[int, ...]]:
    """Where the elements begin, and the three things that the header says about them."""
    width = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}.get(data[6:8], 0)
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    if not data.startswith(_MAGIC) or not width or not 8 + width < start <= min(len(data), _HEADER):
        raise ValueError(f"{name}: offset 0: expected the header of an .npy file, found {data[:12]!r}.")
    try:
        text = data[8 + width : start].decode("ascii")
        header = ast.literal_eval(text.strip())  # literals alone: this runs nothing
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{name}: offset {8 + width}: not the header of an .npy file ({error}).") from error
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ValueError(f"{name}: offset {8 + width}: expected descr, fortran_order and shape, found {text[:60]!r}.")
    descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    if not isinstance(descr, str) or not _DESCR.fullmatch(descr):
        raise ValueError(f"{name}: expected numbers or booleans, found dtype {str(descr)[:60]!r}. No pickle is read.")
    if type(fortran) is not bool or type(shape) is not tuple or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"{name}: offset {8 + width}: expected a shape and an order, found {text[:60]!r}.")
    return start, np.dtype(descr), fortran, shape
