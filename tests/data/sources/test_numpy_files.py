"""read_npy and read_npz against NumPy's own; headers that lie; objects, which are never read."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jnn.data import read_npy, read_npz

DTYPES = ["?", "u1", "<i2", ">i4", "i8", "<f2", ">f4", "f8", "c8"]


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def header(text, data=b""):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def write(tmp_path, data, name="a.npy"):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_are_read_as_numpy_reads_them(tmp_path, dtype, shape, version):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    for ordered in (array, np.asfortranarray(array)):
        found = read_npy(write(tmp_path, npy(ordered, version=version)))
        assert found.dtype == array.dtype.newbyteorder("=")
        assert found.flags.writeable
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_are_read_by_name(tmp_path, save):
    arrays = {name: np.random.default_rng(0).integers(0, 2, (3, 2)).astype(name) for name in ("i4", "f4")}
    save(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


class Trap:
    """Unpickling it would fail the test."""

    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


GOOD = npy(np.arange(6, dtype="<f4").reshape(2, 3))
START = len(GOOD) - 24


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.npy: offset 0: expected the header of an .npy file, found b''"),
        (b"PK" + GOOD, r"a.npy: offset 0: expected the header"),
        (GOOD[:6] + b"\x09" + GOOD[7:], r"offset 0: expected the header"),
        (GOOD[:40], r"offset 0: expected the header"),
        (GOOD[:-1], rf"offset {START}: float32\(2, 3\) ends at offset {START + 24}, the data at {START + 23}"),
        (GOOD + b"x", rf"offset {START}: float32\(2, 3\) ends at offset {START + 24}, the data at {START + 25}"),
        (header("{'descr': '<f4'}"), r"offset 10: expected descr, fortran_order and shape"),
        (header("exit()"), r"offset 10: not the header of an .npy file"),
        (header("(" * 3000), r"offset 10: not the header of an .npy file"),
        (header("[1, 2"), r"offset 10: not the header of an .npy file"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,)}"), r"ends at offset 4000000000"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), r"expected a shape and an order"),
        (header("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", b"1234"), r"expected a shape and an order"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}", b"1234"), r"expected a shape and an or"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9" + "9" * 40 + ")}"), r"cannot be held in"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + 99 * "1, " + ")}", b"1234"), r"cannot be held"),
        (header("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", b"\2"), r"a boolean is neither 0 nor 1"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps(Trap())), r"No pickle is read"),
        (header("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}"), r"No pickle is read"),
        (
            header("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}"),
            r"expected numbers or booleans, found dtype",
        ),
        (npy(np.array([Trap()], object), allow_pickle=True), r"found dtype '\|O'. No pickle is read"),
    ],
)
def test_a_damaged_array_is_one_clear_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        read_npy(write(tmp_path, data))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(ValueError, match=r"a.npz: x.npy: "):
        read_npz(tmp_path / "a.npz")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2**21, np.uint8), y=np.zeros(2**21, np.uint8))
    with pytest.raises(ValueError, match=r"a.npz: claims 4194560 bytes when unpacked, more than the \d+ that it may"):
        read_npz(tmp_path / "a.npz")
    assert read_npz(tmp_path / "a.npz", max_bytes=2**23)["x"].shape == (2**21,)


def archive(tmp_path, name, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
        file.writestr(name, GOOD)
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    ("name", "method"), [("x.txt", zipfile.ZIP_STORED), ("x.npy", zipfile.ZIP_LZMA), ("x.npy", zipfile.ZIP_BZIP2)]
)
def test_an_archive_of_something_else_is_one_clear_error(tmp_path, name, method):
    with pytest.raises(ValueError, match=rf"a.npz: expected .npy files, stored or deflated, found '{name}'"):
        read_npz(archive(tmp_path, name, method))


def test_a_damaged_archive_is_one_clear_error(tmp_path):
    data = archive(tmp_path, "x.npy").read_bytes()
    at = data.index(b"NUMPY") + 100
    for torn in (b"", data[:-30], data[:at] + b"?" + data[at + 1 :]):
        with pytest.raises(ValueError, match=r"a.npz: a damaged .npz file"):
            read_npz(write(tmp_path, torn, "a.npz"))
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz")


def test_two_arrays_of_one_name_are_one_clear_error(tmp_path):
    with zipfile.ZipFile(archive(tmp_path, "x.npy"), "a") as file:
        file.writestr("y.npy", GOOD)
    write(tmp_path, (tmp_path / "a.npz").read_bytes().replace(b"y.npy", b"x.npy"), "a.npz")
    with pytest.raises(ValueError, match=r"a.npz: holds two arrays of the same name"):
        read_npz(tmp_path / "a.npz")
