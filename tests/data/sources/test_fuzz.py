"""Mutated files: every reader refuses them clearly or reads them right, in bounded time and memory.

A thousand mutations by default, more than ten thousand with `-m slow`. Mutation i of a reader depends
on its name and i alone, so that a failure names the one to look at.
"""

import contextlib
import re
import signal
import tracemalloc
import zlib

import numpy as np
import pytest

from tests.data.sources.parquet_files import PARQUET
from tests.data.sources.readers import READERS, Reader

ALL = READERS + PARQUET
HANG = 30  # seconds; a file of a few hundred bytes takes a millisecond
HUGE = [b"-1", b"1e999", b"4294967296", b"9223372036854775807", b"9" * 25, b"9" * 5000]


def flip(rng, data, at):
    if data:
        data[at] ^= 1 << int(rng.integers(8))


def replace(rng, data, at):
    data[at : at + 1] = rng.bytes(1)


def remove(rng, data, at):
    del data[at : at + int(rng.integers(1, 5))]


def insert(rng, data, at):
    data[at:at] = rng.bytes(int(rng.integers(1, 5)))


def cut(rng, data, at):
    del data[at:]


def duplicate(rng, data, at):
    end = at + int(rng.integers(1, 64))
    data[end:end] = data[at:end]


def huge_binary(rng, data, at):
    width = int(rng.choice([2, 4, 8]))
    data[at : at + width] = [b"\xff", b"\x7f"][rng.integers(2)] * width


def huge_decimal(rng, data, at):
    """The next number in digits becomes a huge one."""
    if found := re.compile(rb"\d+").search(data, at):
        data[found.start() : found.end()] = HUGE[rng.integers(len(HUGE))]


CHANGES = [flip, replace, remove, insert, cut, duplicate, huge_binary, huge_decimal]


def mutate(rng, data):
    """One to three changes, half of them near the beginning, where headers are."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        near = min(len(data), int(rng.choice([64, max(len(data), 1)])))
        CHANGES[rng.integers(len(CHANGES))](rng, data, int(rng.integers(near)) if near else 0)
    return bytes(data)


CODEC = 2**22  # what bzip2 takes for itself, whatever it decodes


@contextlib.contextmanager
def watched(size, hang):
    """Fails if what is done within hangs, or takes more memory than two copies of what a file may unpack to."""

    def stop(*_):
        raise AssertionError(f"still reading after {hang} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, hang)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        taken = tracemalloc.get_traced_memory()[1] - before
        assert taken <= CODEC + 2 * (2**20 + 100 * size), f"{taken} bytes for a file of {size}"


def attempt(reader, path, data, hang=HANG):
    """Whether the reader took the file; anything but a right answer or a ValueError with its name is raised."""
    path.write_bytes(data)
    try:
        with watched(len(data), hang):
            found = reader.read(path)
    except ValueError as error:
        refusal = str(error)
    else:
        assert reader.right(data, found)
        return True
    assert refusal.startswith(reader.file)
    return False


def fuzz(reader, folder, n):
    """How many of n mutated files the reader took."""
    path, taken = folder / reader.file.rpartition("/")[2], 0
    tracemalloc.start()
    try:
        assert all(attempt(reader, path, data) for data in reader.good)
        for i in range(n):
            data = mutate(
                np.random.default_rng((zlib.crc32(reader.name.encode()), i)), reader.good[i % len(reader.good)]
            )
            try:
                taken += attempt(reader, path, data)
            except BaseException as error:
                error.add_note(f"{reader.name}, mutation {i}: {data[:300]!r}")
                raise
    finally:
        tracemalloc.stop()
    return taken


@pytest.mark.parametrize("reader", ALL, ids=lambda reader: reader.name)
def test_mutated_files_are_refused_or_read_right(tmp_path, reader):
    assert fuzz(reader, tmp_path, 100) < 100


@pytest.mark.slow
@pytest.mark.parametrize("reader", ALL, ids=lambda reader: reader.name)
def test_ten_thousand_mutated_files_are_refused_or_read_right(tmp_path, reader):
    taken = fuzz(reader, tmp_path, 1200)
    print(f"{reader.name}: read {taken} of 1200, refused {1200 - taken}")
    assert 0 < taken < 1200


def trusting(path):
    np.zeros(2**24, np.uint8)
    raise ValueError("a: refused, but too late")


def forever(path):
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "error", "message"),
    [
        (trusting, AssertionError, "bytes for a file of 4"),
        (forever, AssertionError, "still reading after"),
        (lambda path: {}["x"], KeyError, "x"),
        (lambda path: int("x"), AssertionError, "invalid literal"),
        (lambda path: "wrong", AssertionError, "wrong"),
    ],
    ids=["memory", "hang", "exception", "nameless", "wrong"],
)
def test_the_fuzz_finds_careless_readers(tmp_path, read, error, message):
    careless = Reader("careless", "a", (b"good",), read, lambda data, found: found == "right")
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message):
            attempt(careless, tmp_path / "a", b"good", hang=0.2)
    finally:
        tracemalloc.stop()
