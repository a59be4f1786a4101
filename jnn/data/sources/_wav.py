"""WAV: RIFF chunks, of which "fmt " says how the samples in "data" are written.

    offset 0    "RIFF", the size of what follows, "WAVE"
    then        chunks: four letters, the size, the content, a zero byte if the size is odd
    "fmt "      format, channels, rate, bytes a second, bytes a frame, bits a sample (little-endian)

Laws: samples are `t c`, float32; integers of n bits are divided by 2**(n - 1), so they lie in -1..1: those of 8, 16 and
24 bits exactly, those of 32 bits, and floats of 64, to the nearest float32.
Any sequence of bytes gives either the samples that it encodes or a ValueError that names the file
and the offset.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jnn.data.sources._root import PathLike

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")  # after the two bytes of the format itself
_DTYPES = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "u1",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}


class Format(NamedTuple):
    """What "fmt " says: 1 for integers or 3 for floats, channels, frames a second, bits a sample."""

    code: int
    channels: int
    rate: int
    bits: int


def one_channel(path: PathLike, x: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The samples (t,) of x (t, channels); raises unless it is one channel of the wanted rate, and not empty."""
    if rate != wanted or x.shape[1] != 1 or len(x) == 0:
        raise ValueError(f"{path}: expected one channel of {wanted} Hz, found {list(x.shape)} samples of {rate} Hz.")
    return x[:, 0]


def side_by_side(waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Recordings (n, t) with zeros behind each, and their lengths (n,)."""
    length = np.array([len(wave) for wave in waves], np.int32)
    x = np.zeros((len(waves), length.max()), np.float32)
    for row, wave in zip(x, waves, strict=True):
        row[: len(wave)] = wave
    return x, length


def read_wav(path: PathLike) -> tuple[np.ndarray, int]:
    """WAV: the samples of a file of integers (8, 16, 24, 32 bits) or floats (32, 64 bits), and their rate.

    See "Multimedia Programming Interface and Data Specifications 1.0", IBM and Microsoft, 1991, and
    "Multiple Channel Audio Data and WAVE Files", Microsoft, 2007, for the extensible header.

    Args:
      path: the file.

    Returns:
      Samples (t, channels) float32, in -1..1 if they were integers, and frames a second.

    Raises:
      ValueError: not such a file, or a chunk that does not fit into it, or a sample that is not finite.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".wav") as file:
    ...     _ = file.write(b"RIFF" + struct.pack("<I", 40) + b"WAVE")
    ...     _ = file.write(b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8, 16, 2, 16))
    ...     _ = file.write(b"data" + struct.pack("<Ihh", 4, 16384, -32768))
    ...     file.flush()
    ...     read_wav(file.name)
    (array([[ 0.5],
           [-1. ]], dtype=float32), 8)
    """
    name, data = Path(path).name, Path(path).read_bytes()
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"{name}: offset 0: expected 'RIFF', a size and 'WAVE', found {data[:12]!r}.")
    chunks = _chunks(name, data)
    for tag in (b"fmt ", b"data"):
        if tag not in chunks:
            raise ValueError(f"{name}: offset {len(data)}: expected a chunk {tag!r}, found only {sorted(chunks)}.")
    layout = _format(f"{name}: offset {chunks[b'fmt '].start}", data[chunks[b"fmt "]])
    where, samples = f"{name}: offset {chunks[b'data'].start}", data[chunks[b"data"]]
    frame = layout.channels * layout.bits // 8
    if not samples or len(samples) % frame:
        raise ValueError(f"{where}: expected whole frames of {frame} bytes, found {len(samples)} bytes.")
    values = _decode(samples, layout).reshape(-1, layout.channels)
    if not np.isfinite(values).all():
        at = chunks[b"data"].start + int(np.argmin(np.isfinite(values).all(1))) * frame
        raise ValueError(f"{name}: offset {at}: expected finite samples, found NaN or infinity.")
    return values, layout.rate


def _chunks(name: str, data: bytes) -> dict[bytes, slice]:
    """The first chunk of each name; what it holds lies in the file."""
    chunks: dict[bytes, slice] = {}
    at, end = 12, 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise ValueError(f"{name}: offset 4: the header says that the file ends at {end}, it ends at {len(data)}.")
    while at + 8 <= end:
        tag, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > end:
            raise ValueError(f"{name}: offset {at}: chunk {tag!r} ends at {at + 8 + size}, its file at {end}.")
        chunks.setdefault(tag, slice(at + 8, at + 8 + size))
        at += 8 + size + size % 2
    return chunks


def _format(where: str, chunk: bytes) -> Format:
    if len(chunk) < 16:
        raise ValueError(f"{where}: expected a format of 16 bytes or more, found {len(chunk)}.")
    code, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == _SUBFORMAT:
        code = int.from_bytes(chunk[24:26], "little")
    if (code, bits) not in _DTYPES:
        raise ValueError(
            f"{where}: expected integers (format 1) of 8, 16, 24 or 32 bits or floats (format 3) of 32 or 64, "
            f"found format {code} of {bits} bits."
        )
    if not channels or not rate or frame != channels * bits // 8:
        raise ValueError(
            f"{where}: expected channels, a rate, and frames of channels * bits / 8 bytes, "
            f"found {channels} channels of {bits} bits at {rate} Hz in frames of {frame} bytes."
        )
    return Format(code, channels, rate, bits)


def _decode(samples: bytes, layout: Format) -> np.ndarray:
    """The samples as float32, in the order of the file."""
    values = np.frombuffer(samples, _DTYPES[layout.code, layout.bits])
    if layout.code == _FLOAT:
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is found, and located, by the caller
            return values.astype(np.float32)
    if layout.bits == 24:  # no such dtype: the upper three bytes of 32 bits
        wide = np.zeros((len(values) // 3, 4), np.uint8)
        wide[:, 1:] = values.reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / 2**31
    if layout.bits == 8:  # the only unsigned one
        return values.astype(np.float32) / 128 - 1
    return values.astype(np.float32) / 2 ** (layout.bits - 1)
