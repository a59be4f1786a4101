"""read_idx: round trips, and damaged files."""

import gzip

import numpy as np
import pytest

from jnn.data import read_idx
from tests.data.sources.writers import CODES, idx


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("dtype", CODES)
def test_idx_round_trips(tmp_path, dtype, pack):
    array = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(dtype)
    (tmp_path / "a").write_bytes(pack(idx(array)))
    found = read_idx(tmp_path / "a")
    assert found.dtype == array.dtype
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.idx: offset 0: expected an IDX magic number .* found an empty file"),
        (b"\x89PNG\r\n", r"a.idx: offset 0: .* found 89 50 4e 47"),
        (b"\0\0\x0a\x01" + GOOD[4:], r"offset 0: .* found 00 00 0a 01"),
        (b"\0\0\x08\x00", r"offset 3: expected at least one dimension, found 0"),
        (GOOD[:7], r"offset 4: expected 2 dimensions of 4 bytes each, the file ends at 7"),
        (GOOD[:-1], r"offset 12: shape \(3, 4\) ends at offset 24, the file at 23"),
        (GOOD + b"\0", r"offset 12: shape \(3, 4\) ends at offset 24, the file at 25"),
        (GOOD[:8] + b"\xff\xff\xff\xff" + GOOD[12:], r"shape \(3, 4294967295\) ends at offset 12884901897"),
        (GOOD[:8] + b"\0\0\0\0", r"offset 8: expected at least one element, found shape \(3, 0\)"),
        (b"\0\0\x08\xff" + 255 * b"\0\0\0\x01" + b"\0", r"offset 3: 255 dimensions cannot be held in an array"),
        (gzip.compress(GOOD, mtime=0)[:-9], r"a.idx: damaged gzip data"),
        (gzip.compress(GOOD, mtime=0)[:-8] + 8 * b"\0", r"a.idx: damaged gzip data"),
        (gzip.compress(bytes(2**22), mtime=0), r"a.idx: unpacks to more than \d+ bytes, .* a decompression bomb"),
    ],
)
def test_a_damaged_idx_file_is_one_clear_error(tmp_path, data, message):
    (tmp_path / "a.idx").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "a.idx")
