"""Spoken digits: small recordings that are made here, and what is wrong with others."""

import re

import numpy as np
import pytest

from jnn.data import spoken_digits
from tests.data.sources.writers import wav
from tests.needed_data import needs


def write(root, name, n=3, rate=8000, channels=1):
    folder = root / "free_spoken_digits" / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(wav(np.full((n, channels), 2**14, "<i2").tobytes(), channels, rate, 16))


def test_recordings_by_part_in_order_with_zeros_behind(tmp_path):
    for name, n in {"1_theo_5.wav": 2, "0_theo_12.wav": 4, "0_ann_6.wav": 3, "0_ann_4.wav": 9}.items():
        write(tmp_path, name, n)
    arrays, speakers = spoken_digits(tmp_path)
    assert speakers == ("ann", "theo")
    assert arrays["x"].tolist() == [[0.5, 0.5, 0.5, 0], [0.5] * 4, [0.5, 0.5, 0, 0]]
    found = {name: arrays[name].tolist() for name in ("length", "y", "speaker", "index")}
    assert found == {"length": [3, 4, 2], "y": [0, 0, 1], "speaker": [0, 1, 1], "index": [6, 12, 5]}
    assert all(arrays[name].dtype == np.int32 for name in found)
    arrays, speakers = spoken_digits(tmp_path, "test")
    assert arrays["x"].shape == (1, 9)
    assert speakers == ("ann", "theo")


def test_what_is_wrong_is_one_error(tmp_path):
    write(tmp_path, "1_theo_5.wav")
    with pytest.raises(ValueError, match="recordings of the part 'test', found none"):
        spoken_digits(tmp_path, "test")
    write(tmp_path, "1_theo_7.wav", channels=2)
    with pytest.raises(ValueError, match=re.escape("1_theo_7.wav: expected one channel of 8000 Hz, found [3, 2]")):
        spoken_digits(tmp_path)
    write(tmp_path, "theo.wav")
    with pytest.raises(ValueError, match=r"theo\.wav: expected a name such as"):
        spoken_digits(tmp_path)


def test_the_dataset_as_published():
    needs("free_spoken_digits")
    (train, speakers), (test, _) = spoken_digits(), spoken_digits(part="test")
    assert (len(train["y"]), len(test["y"])) == (2700, 300)
    assert len(speakers) == 6
    assert np.bincount(test["y"]).tolist() == [30] * 10
    assert {*test["index"].tolist()} == {0, 1, 2, 3, 4}
