"""read_cifar: records, and damaged files."""

import numpy as np
import pytest

from jnn.data import read_cifar
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
        (b"", r"a.bin: offset 0: expected whole records of 3073 bytes, found 0 bytes"),
        (bytes(3073 + 100), r"a.bin: offset 3073: expected whole records of 3073 bytes, found 100 bytes"),
        (bytes(3073) + b"\x0a" + bytes(3072), r"a.bin: offset 3073: expected a label in 0..9, found 10"),
    ],
)
def test_a_damaged_cifar_file_is_one_clear_error(tmp_path, data, message):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_cifar(tmp_path / "a.bin")
