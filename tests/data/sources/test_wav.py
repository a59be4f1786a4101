"""read_wav: every width, against what was written; SciPy is the oracle for the headers; damaged files."""

import io
import struct

import numpy as np
import pytest
import scipy.io.wavfile

from jnn.data import read_wav
from tests.data.sources.writers import chunk, wav


def write(tmp_path, data):
    (tmp_path / "a.wav").write_bytes(data)
    return tmp_path / "a.wav"


def encode(x, bits, code):
    """Samples in -1..1 as bytes."""
    if code == 3:
        return x.astype(f"<f{bits // 8}").tobytes()
    whole = np.clip(np.round(x.astype(np.float64) * 2 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    wide = whole.astype("<i8").view(np.uint8).reshape(-1, 8)
    return wide[:, : bits // 8].tobytes()


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize(("bits", "code"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
def test_samples_are_what_was_written(tmp_path, bits, code, channels, extensible):
    x = np.random.default_rng(0).uniform(-1, 1, (50, channels)).astype(np.float32)
    x[0], x[1] = -1, 1
    data = wav(encode(x, bits, code), channels, 8000, bits, code, extensible=extensible, before=chunk(b"LIST", b"abc"))
    found, rate = read_wav(write(tmp_path, data))
    assert (found.dtype, found.shape, rate) == (np.float32, x.shape, 8000)
    assert np.abs(found).max() <= 1
    np.testing.assert_allclose(found, x, rtol=0, atol=0 if code == 3 else max(1 / 2 ** (bits - 1), 1e-7))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_a_file_by_scipy_is_read_as_scipy_reads_it(tmp_path, dtype):
    rng = np.random.default_rng(0)
    wide = np.issubdtype(dtype, np.floating)
    x = (
        rng.normal(size=(64, 2)).astype(dtype)
        if wide
        else rng.integers(*(np.iinfo(dtype).min, np.iinfo(dtype).max), (64, 2), dtype)
    )
    file = io.BytesIO()
    scipy.io.wavfile.write(file, 44100, x)
    found, rate = read_wav(write(tmp_path, file.getvalue()))
    scale = 1 if wide else 128 if dtype == np.uint8 else -float(np.iinfo(dtype).min)
    expected = (x.astype(np.float64) - (128 if dtype == np.uint8 else 0)) / scale
    assert rate == 44100
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


GOOD = wav(bytes(8), 2, 8000, 16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.wav: offset 0: expected 'RIFF', a size and 'WAVE', found b''"),
        (b"RIFX" + GOOD[4:], r"a.wav: offset 0: expected 'RIFF'"),
        (GOOD[:-1], r"a.wav: offset 4: the header says that the file ends at 52, it ends at 51"),
        (
            GOOD[:40] + struct.pack("<I", 2**32 - 1) + GOOD[44:],
            r"offset 36: chunk b'data' ends at 4294967339, its file",
        ),
        (GOOD[:36] + b"junk" + GOOD[40:], r"offset 52: expected a chunk b'data', found only \[b'fmt ', b'junk'\]"),
        (GOOD[:12] + b"junk" + GOOD[16:], r"offset 52: expected a chunk b'fmt '"),
        (wav(bytes(8), 2, 8000, 12), r"offset 20: expected integers .* found format 1 of 12 bits"),
        (wav(bytes(8), 2, 8000, 16, 85), r"offset 20: expected integers .* found format 85 of 16 bits"),
        (
            wav(bytes(8), 0, 8000, 16),
            r"offset 20: expected channels, a rate, .* found 0 channels of 16 bits at 8000 Hz",
        ),
        (wav(bytes(8), 2, 0, 16), r"offset 20: expected channels, a rate, .* at 0 Hz"),
        (GOOD[:32] + b"\5\0" + GOOD[34:], r"offset 20: .* in frames of 5 bytes"),
        (wav(bytes(6), 2, 8000, 16), r"offset 44: expected whole frames of 4 bytes, found 6 bytes"),
        (wav(b"", 2, 8000, 16), r"offset 44: expected whole frames of 4 bytes, found 0 bytes"),
        (wav(struct.pack("<ff", 0, np.nan), 1, 8000, 32, 3), r"offset 48: expected finite samples"),
        (wav(struct.pack("<dd", 0, 1e300), 1, 8000, 64, 3), r"offset 52: expected finite samples"),
        (b"RIFF" + struct.pack("<I", 22) + b"WAVE" + chunk(b"fmt ", bytes(10)), r"offset 30: expected a chunk b'data'"),
        (
            b"RIFF" + struct.pack("<I", 32) + b"WAVE" + chunk(b"fmt ", bytes(10)) + chunk(b"data", b"ab"),
            r"offset 20: expected a format of 16 bytes or more, found 10",
        ),
    ],
)
def test_a_damaged_wav_file_is_one_clear_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        read_wav(write(tmp_path, data))
