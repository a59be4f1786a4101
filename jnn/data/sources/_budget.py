"""How much memory a file may ask for: `2**20 + 100 * size` bytes, unless the caller says otherwise.

Law: a reader allocates what is in the file, never what a header claims. Compressed files are the one
exception, and this is its bound: real data shrinks to a half or a tenth, a bomb to a thousandth.
"""

from __future__ import annotations

from typing import Protocol

_CHUNK = 2**16


class Readable(Protocol):
    """A binary file, as far as this room needs one."""

    def read(self, size: int, /) -> bytes: ...


def budget(size: int) -> int:
    """The bytes that a file of this size may unpack to.

    >>> budget(10**6)
    101048576
    """
    return 2**20 + 100 * size


def read_within(file: Readable, limit: int, name: str) -> bytes:
    """Everything in a stream, piece by piece, so that a bomb is met before it is unpacked.

    Args:
      file: the stream, being decompressed as it is read.
      limit: bytes.
      name: of the file, for the error.

    Raises:
      ValueError: more than `limit` bytes.

    >>> import io
    >>> read_within(io.BytesIO(b"abc"), 2, "a.gz")
    Traceback (most recent call last):
    ValueError: a.gz: unpacks to more than 2 bytes, which no data of this size does. Is it a decompression bomb?
    If not, unpack it yourself.
    """
    chunks, found = [], 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        found += len(chunk)
        if found > limit:
            raise ValueError(
                f"{name}: unpacks to more than {limit} bytes, which no data of this size does. "
                "Is it a decompression bomb? If not, unpack it yourself."
            )
    return b"".join(chunks)
