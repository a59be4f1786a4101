"""read_cifar: records, and damaged files."""

import numpy as np
import pytest

from jnn.data import Skipped, read_cifar
from tests.data.sources.writers import cifar_records


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
        (b"", r"a.bin: expected whole records of 3073 bytes, found none in 0 bytes"),
        (bytes(3073 + 100), r"a.bin: offset 3073: expected 3073 bytes of a record, found 100"),
        (bytes(3073) + b"\x0a" + bytes(3072), r"a.bin: offset 3073: expected a label in 0..9, found 10"),
    ],
)
def test_a_damaged_cifar_file_is_one_clear_error(tmp_path, data, message):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_cifar(tmp_path / "a.bin")


def test_damaged_records_are_left_out_and_counted_if_asked_to(tmp_path):
    data, labels, planes = cifar_records(3)
    (tmp_path / "a.bin").write_bytes(data[:3073] + b"\x0a" + data[3074:] + bytes(7))
    skipped = Skipped()
    found = read_cifar(tmp_path / "a.bin", skipped=skipped)
    np.testing.assert_array_equal(found["y"], [labels[0], labels[2]])
    np.testing.assert_array_equal(found["x"][1, 5, 7], planes[2, :, 5, 7])
    assert skipped.messages == [
        "a.bin: offset 3073: expected a label in 0..9, found 10.",
        "a.bin: offset 9219: expected 3073 bytes of a record, found 7.",
    ]
