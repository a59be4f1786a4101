"""The readers: hand-made files, damaged files, thousands of random mutations."""

import gzip
import json
import struct

import numpy as np
import pytest

from jnn.data import read_cifar, read_idx, read_reviews

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array):
    """An array as the bytes of an IDX file, written from the format's description."""
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def cifar_records(n):
    """n records as bytes, and what they say: labels, and pixels indexed [n, channel, row, column]."""
    rng = np.random.default_rng(0)
    labels, planes = rng.integers(0, 10, n).astype(np.uint8), rng.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    return b"".join(bytes([y]) + x.tobytes() for y, x in zip(labels, planes, strict=True)), labels, planes


REVIEWS = b'{"text": "good \\u00e9", "label": 1}\n{"text": "bad", "label": 0}\n'


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
        (gzip.compress(GOOD)[:-9], r"a.idx: damaged gzip data"),
        (gzip.compress(GOOD)[:-8] + 8 * b"\0", r"a.idx: damaged gzip data"),
    ],
)
def test_a_damaged_idx_file_is_one_clear_error(tmp_path, data, message):
    (tmp_path / "a.idx").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "a.idx")


def test_cifar_records_become_images(tmp_path):
    data, labels, planes = cifar_records(3)
    (tmp_path / "a.bin").write_bytes(data)
    found = read_cifar(tmp_path / "a.bin")
    assert {name: (array.shape, array.dtype) for name, array in found.items()} == {
        "x": ((3, 32, 32, 3), np.uint8),
        "y": ((3,), np.int32),
    }
    np.testing.assert_array_equal(found["y"], labels)
    np.testing.assert_array_equal(found["x"][2, 5, 7], planes[2, :, 5, 7])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.bin: offset 0: expected whole records of 3073 bytes, found 0 bytes"),
        (bytes(3073 + 100), r"a.bin: offset 3073: expected whole records of 3073 bytes, found 100 bytes"),
        (bytes(3073) + b"\x0a" + bytes(3072), r"a.bin: offset 3073: expected a label in 0..9, found 10"),
    ],
)
def test_a_damaged_cifar_file_is_one_clear_error(tmp_path, data, message):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_cifar(tmp_path / "a.bin")


def test_reviews_are_texts_and_labels(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(REVIEWS)
    texts, labels = read_reviews(tmp_path / "a.jsonl")
    assert texts == ["good é", "bad"]
    assert (labels.tolist(), labels.dtype) == ([1, 0], np.int32)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "a.jsonl: line 3: not JSON in UTF-8"),
        (b"", "a.jsonl: line 3: not JSON in UTF-8"),
        (b'{"text": "\xff", "label": 1}', "a.jsonl: line 3: not JSON in UTF-8"),
        (b'{"text": "x"}', 'line 3: expected {"text": a string, "label": 0 or 1}, found b\'{"text": "x"}'),
        (b'{"text": "x", "label": 2}', "line 3: expected"),
        (b'{"text": "x", "label": true}', "line 3: expected"),
        (b'{"text": 1, "label": 1}', "line 3: expected"),
        (b"[1]", "line 3: expected"),
        (b"[" * 100_000, "line 3: not JSON"),
    ],
)
def test_a_damaged_review_is_one_clear_error(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_bytes(REVIEWS + line + b"\n" + REVIEWS)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (braces and quotes: compared as text)
        read_reviews(tmp_path / "a.jsonl")
    assert message in str(caught.value)


def test_no_reviews_is_one_clear_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.jsonl: expected one review a line, found an empty file"):
        read_reviews(tmp_path / "a.jsonl")


def mutate(rng, data):
    """A few bytes changed, removed or inserted."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data))) if data else 0
        kind = rng.integers(4)
        if kind == 0:
            data[at : at + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 5))]
        elif kind == 2:
            data[at:at] = rng.bytes(rng.integers(1, 5))
        else:
            del data[at:]
    return bytes(data)


def mutations(name, read, check, data, tmp_path, n):
    """Reads n mutated files: a ValueError that names the file, or an answer that `check` agrees with."""
    rng, path, refusals = np.random.default_rng(0), tmp_path / name, []
    for _ in range(n):
        mutated = mutate(rng, data)
        path.write_bytes(mutated)
        try:
            check(mutated, read(path))
        except ValueError as error:
            refusals.append(str(error))
    assert 0 < len(refusals) < n
    assert all(name in refusal for refusal in refusals)


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_a_mutated_idx_file_is_refused_or_read_right(tmp_path, dtype):
    data = idx(np.arange(6).reshape(2, 3).astype(dtype))

    def check(mutated, found):
        assert idx(found) == mutated

    mutations("a.idx", read_idx, check, data, tmp_path, 3000)


def test_a_mutated_gzip_file_is_refused_or_read_right(tmp_path):
    data = gzip.compress(idx(np.arange(60, dtype=np.uint8)), mtime=0)

    def check(mutated, found):
        raw = gzip.decompress(mutated) if mutated.startswith(b"\x1f\x8b") else mutated
        assert idx(found) == raw

    mutations("a.gz", read_idx, check, data, tmp_path, 3000)


def test_a_mutated_cifar_file_is_refused_or_read_right(tmp_path):
    data, _, _ = cifar_records(2)

    def check(mutated, found):
        pairs = zip(found["y"], found["x"].transpose(0, 3, 1, 2), strict=True)
        assert b"".join(bytes([y]) + x.tobytes() for y, x in pairs) == mutated

    mutations("a.bin", read_cifar, check, data, tmp_path, 1000)


def test_mutated_reviews_are_refused_or_read_right(tmp_path):
    def check(mutated, found):
        lines = [json.loads(line) for line in mutated.splitlines() if line.strip()]
        assert [line["text"] for line in lines] == found[0]

    mutations("a.jsonl", read_reviews, check, REVIEWS, tmp_path, 3000)
