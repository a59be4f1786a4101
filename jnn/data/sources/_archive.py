"""Archives: zip, and tar plain or compressed by gzip, bzip2 or xz, unpacked with suspicion.

Laws: nothing is written outside the folder: `..`, absolute names, links and devices are refused; no
more than `max_bytes` are ever unpacked; the folder is there whole or not at all.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tarfile import HeaderError, ReadError, TarFile
from typing import IO, Self

from jnn.data.sources._budget import Readable, budget
from jnn.data.sources._root import PathLike

_CHUNK = 2**16
_BLOCK = 512  # what an empty file costs
_HEADERS = 2**20  # the most that may stand between two files of a tar


def unpack(archive: PathLike, folder: PathLike, *, max_bytes: int | None = None) -> Path:
    """Archive: unpacks it into a new folder.

    Args:
      archive: a zip or tar file; which one is told from its content.
      folder: where its files go. It must not exist; the folder that it is in must.
      max_bytes: how much may be unpacked in all, every file counting 512 bytes or more; None is a
        hundred times the archive and a megabyte.

    Returns:
      The folder.

    Raises:
      FileExistsError: the folder is there already.
      ValueError: a damaged archive, or one that holds what it should not. Nothing is left behind.

    >>> with tempfile.TemporaryDirectory() as root:
    ...     with zipfile.ZipFile(f"{root}/a.zip", "w") as file:
    ...         file.writestr("train/1.txt", "one")
    ...     (unpack(f"{root}/a.zip", f"{root}/a") / "train" / "1.txt").read_text()
    'one'
    """
    source, target = Path(archive), Path(folder)
    if os.path.lexists(target):
        raise FileExistsError(f"{target}: is there already; unpack makes a new folder.")
    limit = budget(source.stat().st_size) if max_bytes is None else max_bytes
    sibling = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with _named(source.name):
            _unpack(source, sibling, limit)
        sibling.chmod(0o755)
        sibling.rename(target)
    except BaseException:  # an interrupt, too, leaves nothing behind
        shutil.rmtree(sibling)
        raise
    return target


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Whatever the standard library says of a damaged archive becomes one error with its name."""
    damaged = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OverflowError)
    try:
        yield
    except (*damaged, NotImplementedError, RuntimeError) as error:  # the last two: unknown methods, passwords
        raise ValueError(f"{name}: a damaged archive, or none ({error}).") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's; the archive's are a codec's, or a seek to nowhere
            raise
        raise ValueError(f"{name}: a damaged archive, or none ({error}).") from error


def _unpack(source: Path, folder: Path, limit: int) -> None:
    with open(source, "rb") as file:
        files = _zip_files if file.read(2) == b"PK" else _tar_files
    left = limit
    for name, size, content in files(source):
        left -= max(size, _BLOCK)
        if left < 0:
            raise ValueError(f"unpacks to more than {limit} bytes. If it is meant to: unpack(max_bytes=...).")
        _write(folder / _inside(name), name, size, content)


def _inside(name: str) -> PurePosixPath:
    """The name as a path that stays inside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:|.*[\\\0]", name, re.DOTALL):
        raise ValueError(f"holds {name[:60]!r}, which is not a plain name inside its folder.")
    if len(os.fsencode(name)) > 1024 or any(len(os.fsencode(part)) > 255 for part in path.parts):
        raise ValueError(f"holds the name {name[:60]!r}..., which is longer than a file's may be.")
    return path


def _write(path: Path, name: str, size: int, file: Readable | None) -> None:
    """One file of exactly its size, or a folder."""
    try:
        if file is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "xb") as out:
            while chunk := file.read(min(_CHUNK, size + 1)):
                size -= len(chunk)
                out.write(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"holds {name[:60]!r} twice, or as a file and as a folder.") from error
    if size:
        raise ValueError(f"holds {name[:60]!r}, which is {abs(size)} bytes {'short' if size > 0 else 'long'}.")


Files = Iterator[tuple[str, int, Readable | None]]  # name, size, content; no content for a folder


def _zip_files(source: Path) -> Files:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            name = member.filename
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"holds {name[:60]!r}, a link or a device.")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"holds {name[:60]!r}, neither stored nor deflated: unpack it yourself.")
            if member.is_dir():
                yield name, 0, None
            else:
                with archive.open(member) as file:
                    yield name, member.file_size, file


def _tar_files(source: Path) -> Files:
    with _decompressed(source) as raw:
        stream = Stream(raw)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=Member) as archive:
            for member in archive:
                if not member.isdir() and (not member.isreg() or member.issparse()):
                    raise ValueError(f"holds {member.name[:60]!r}, a link, a device or a sparse file.")
                stream.left = _HEADERS + member.size
                yield member.name, member.size, None if member.isdir() else archive.extractfile(member)
        while stream.read(_CHUNK):  # to the very end, where a compressed file has its checksum
            pass


def _decompressed(source: Path) -> IO[bytes]:
    with open(source, "rb") as file:
        magic = file.read(6)
    for start, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ\0", lzma)):
        if magic.startswith(start):
            return module.open(source)
    return open(source, "rb")


class Stream(io.BufferedIOBase):
    """A decompressed file that gives `left` bytes more: tarfile keeps long names in memory, of any length."""

    def __init__(self, file: Readable) -> None:
        self.file, self.left = file, _HEADERS

    def read(self, size: int | None = -1, /) -> bytes:
        data = self.file.read(-1 if size is None else size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError(f"is no archive, or holds a header of more than {_HEADERS} bytes.")
        return data


class Member(tarfile.TarInfo):
    """A header that is right, or an error; tarfile itself takes a damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> Self:
        try:
            member = super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the archive's own mark of its end; the base alone is public
                raise
            raise ReadError(f"{error}, where a header or the end should be") from error
        if member.size < 0 or (member.size and not member.isreg()):
            raise ReadError(f"a header claims {member.size} bytes of {member.name[:60]!r}")
        return member
