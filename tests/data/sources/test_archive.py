"""unpack: what was packed comes out; nothing outside the folder, no bombs, no halves."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from jnn.data import unpack

FILES = {"a.txt": b"one", "deep/er/b.bin": bytes(range(256)) * 300, "empty": b"", "n" * 200: b"long name"}


def tar(tmp_path, members, mode="w:gz", **options):
    """Members: name -> bytes, or a TarInfo."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode, **options) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zip_(tmp_path, members, method=zipfile.ZIP_DEFLATED, mode=None):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = 0 if mode is None else mode << 16
            archive.writestr(info, content)
    return path


def found(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


PACKERS = {
    "zip": zip_,
    "stored": lambda *a: zip_(*a, method=zipfile.ZIP_STORED),
    "tar": lambda *a: tar(*a, mode="w"),
    "gnu": lambda *a: tar(*a, format=tarfile.GNU_FORMAT),
    "pax": lambda *a: tar(*a, format=tarfile.PAX_FORMAT),
    "bz2": lambda *a: tar(*a, mode="w:bz2"),
    "xz": lambda *a: tar(*a, mode="w:xz"),
}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_what_was_packed_comes_out(tmp_path, pack):
    folder = unpack(pack(tmp_path, FILES), tmp_path / "out")
    assert folder == tmp_path / "out"
    assert found(folder) == FILES


def test_folders_come_out_and_modes_do_not(tmp_path):
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    here = tarfile.TarInfo("./")
    here.type = tarfile.DIRTYPE
    program = tarfile.TarInfo("./d/program")
    program.mode = 0o6777
    out = unpack(tar(tmp_path, {"./": here, "d": folder, "program": program}), tmp_path / "out")
    assert (out / "d").is_dir()
    assert (out / "d" / "program").stat().st_mode & 0o7111 == 0
    assert out.stat().st_mode & 0o777 == 0o755


def refused(tmp_path, archive, message, **options):
    """Unpacking is one clear error, and leaves nothing behind: neither in the folder nor around it."""
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(ValueError, match=rf"^{archive.name}: {message}"):
        unpack(archive, tmp_path / "out", **options)
    assert sorted(tmp_path.parent.rglob("*")) == before


NAMES = ["../x", "a/../../x", "/x", "//x", "..", "C:x", "C:/x", "a\\..\\x"]


@pytest.mark.parametrize("pack", [zip_, tar])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, pack, name):
    archive = pack(tmp_path, {"first.txt": b"1", name: b"x"})
    refused(tmp_path, archive, r"holds '.*', which is not a plain name inside its folder")


@pytest.mark.parametrize("pack", [zip_, tar])
def test_a_name_too_long_for_a_file_is_refused(tmp_path, pack):
    refused(
        tmp_path, pack(tmp_path, {"n" * 256: b"x"}), r"holds the name 'n+'..., which is longer than a file's may be"
    )


KINDS = ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE"]


@pytest.mark.parametrize("kind", KINDS)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    member = tarfile.TarInfo("x")
    member.type, member.linkname = getattr(tarfile, kind), "a.txt"
    archive = tar(tmp_path, {"a.txt": b"1", "x": member})
    refused(tmp_path, archive, r"holds 'x', a link, a device or a sparse file")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    refused(tmp_path, zip_(tmp_path, {"x": b"/etc/passwd"}, mode=mode | 0o777), r"holds 'x', a link or a device")


@pytest.mark.parametrize("pack", [zip_, tar])
def test_a_bomb_is_refused(tmp_path, pack):
    refused(tmp_path, pack(tmp_path, {"x": bytes(2**22)}), r"unpacks to more than \d+ bytes")
    refused(tmp_path, pack(tmp_path, {"x": b"12"} | {str(i): b"" for i in range(4)}), r"unpacks to", max_bytes=2047)
    assert len(found(unpack(pack(tmp_path, {"x": bytes(2**22)}), tmp_path / "out", max_bytes=2**22))["x"]) == 2**22


def test_a_bomb_in_a_header_is_refused(tmp_path):
    archive = tar(tmp_path, {"x" * 2**21: b""}, format=tarfile.GNU_FORMAT)
    refused(tmp_path, archive, r"is no archive, or holds a header of more than 1048576 bytes")


@pytest.mark.parametrize("pack", [zip_, tar])
@pytest.mark.parametrize("members", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}, {"a": b"", "./a": b""}])
def test_a_name_that_comes_twice_is_refused(tmp_path, pack, members):
    refused(tmp_path, pack(tmp_path, members), r"holds '.*' twice, or as a file and as a folder")


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_a_damaged_archive_is_one_clear_error(tmp_path, pack):
    archive = pack(tmp_path, FILES)
    data = archive.read_bytes()
    for size in (0, 2, 10, len(data) // 2, len(data) - 8 if archive.name == "a.zip" else len(data) // 3):
        archive.write_bytes(data[:size])
        refused(tmp_path, archive, "")


def test_a_flipped_header_does_not_end_a_tar_early(tmp_path):
    archive = tar(tmp_path, {"a": b"1", "b": b"2"}, mode="w")
    data = bytearray(archive.read_bytes())
    data[1024] ^= 1  # the second header's first byte
    archive.write_bytes(data)
    refused(tmp_path, archive, r"a damaged archive, or none \(.*where a header or the end should be")


def test_a_flipped_checksum_of_gzip_is_found(tmp_path):
    archive = tar(tmp_path, {"a": b"1"}, mode="w")
    data = bytearray(gzip.compress(archive.read_bytes()))
    data[-8] ^= 1
    archive.write_bytes(data)
    refused(tmp_path, archive, r"a damaged archive, or none \(CRC check failed")


def test_unknown_methods_and_what_is_no_archive_are_refused(tmp_path):
    archive = zip_(tmp_path, FILES, method=zipfile.ZIP_LZMA)
    refused(tmp_path, archive, r"holds 'a.txt', neither stored nor deflated")
    archive.write_bytes(b"no archive" * 200)
    refused(tmp_path, archive, r"a damaged archive, or none")


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match=r"out: is there already; unpack makes a new folder"):
        unpack(tar(tmp_path, FILES), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
