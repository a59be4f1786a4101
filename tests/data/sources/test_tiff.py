"""TIFF: grey levels as they are stored, and what is none; nuclei, and files that do not belong together."""

import numpy as np
import pytest
from PIL import Image

from jnn.data import nuclei, read_tiff


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2"])
def test_levels_are_those_that_were_written(tmp_path, dtype):
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 7)).astype(dtype)
    Image.fromarray(levels).save(tmp_path / "a.tif")
    found = read_tiff(tmp_path / "a.tif")
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, levels)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (2, 2)), "a.tif: expected grey levels of 8 or 16 bits, found an image of mode 'RGB'"),
        (Image.new("F", (2, 2)), "a.tif: expected grey levels .* found an image of mode 'F'"),
        (Image.new("L", (9, 2)), "a.tif: claims 9 x 2 pixels, more than the 16 of max_pixels"),
    ],
)
def test_what_is_no_small_grey_image_is_one_clear_error(tmp_path, image, message):
    image.save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=message):
        read_tiff(tmp_path / "a.tif", max_pixels=16)


def test_damaged_files_are_one_clear_error(tmp_path):
    Image.new("L", (64, 64)).save(tmp_path / "a.tif")
    whole = (tmp_path / "a.tif").read_bytes()
    for data, message in ((b"", "not a TIFF image"), (whole[:200], "a damaged image of 200 bytes")):
        (tmp_path / "a.tif").write_bytes(data)
        with pytest.raises(ValueError, match=f"a.tif: {message}"):
            read_tiff(tmp_path / "a.tif")


def test_a_mask_of_another_size_is_an_error(tmp_path):
    (tmp_path / "nuclei").mkdir()
    for name, size in (("img", (4, 4)), ("mask", (4, 5))):
        Image.new("L", size).save(tmp_path / "nuclei" / f"{name}2d.tif")
    with pytest.raises(
        ValueError, match=r"nuclei: expected an image and a mask of one size, found \(4, 4\) and \(5, 4\)"
    ):
        nuclei(tmp_path)
