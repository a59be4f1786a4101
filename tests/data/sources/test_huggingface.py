"""HuggingFace over ducks: fields, types, damaged records; the package itself where it is installed."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from jnn.data import HuggingFace, Skipped


class Duck:
    """A dataset of which record 1 cannot be decoded."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i == 1:
            raise OSError("broken data stream")
        return {"image": Image.new("RGB", (3, 2), (i, 0, 0)), "label": i, "text": "abc", "score": 0.5, "tokens": [1, 2]}


FIELDS = {"x": "image", "y": "label", "s": "text", "f": "score", "t": "tokens"}


def test_fields_are_renamed_and_become_arrays():
    example = HuggingFace(Duck(), FIELDS)[2]
    assert list(example) == list(FIELDS)
    assert (example["x"].shape, example["x"].dtype, example["x"][0, 0].tolist()) == ((2, 3, 3), np.uint8, [2, 0, 0])
    assert (example["y"].dtype, example["y"].item(), example["s"]) == (np.int32, 2, "abc")
    assert (example["f"].dtype, example["t"].dtype, example["t"].tolist()) == (np.float32, np.int32, [1, 2])


def test_a_damaged_record_is_one_clear_error_or_skipped():
    with pytest.raises(ValueError, match=r"HuggingFace: record 1 cannot be decoded \(broken data stream\)"):
        HuggingFace(Duck(), FIELDS)[1]
    source = HuggingFace(Duck(), FIELDS, skipped=Skipped())
    assert [source[i] is None for i in range(3)] == [False, True, False]
    assert source.skipped.count == 1


class Records(list):
    """A dataset of given records."""


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"b": 1}, r"record 0: expected fields \['a'\], found \['b'\]"),
        ({"a": None}, r"record 0 cannot be decoded \(NoneType is no array\)"),
        ({"a": [[1], [1, 2]]}, r"record 0 cannot be decoded"),
        ({"a": 2**40}, r"record 0 cannot be decoded \(expected integers that fit 32 bits, found 1099511627776"),
        ({"a": [1.5, 1e300]}, r"record 0 cannot be decoded \(expected floats that fit 32 bits, found 1e\+300"),
        ({"a": 16777217.0}, r"record 0 cannot be decoded \(expected floats that fit 32 bits, found 16777217"),
    ],
)
def test_a_record_that_does_not_fit_is_one_clear_error(record, message):
    with pytest.raises(ValueError, match=message):
        HuggingFace(Records([record]), {"x": "a"})[0]


GREYS = np.random.default_rng(0).integers(0, 256, (4, 6)).astype(np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "YCbCr", "I;16"])
def test_an_image_is_what_a_viewer_shows(mode):
    wide = Image.fromarray(GREYS.astype(np.uint16) * 257)
    image = wide if mode == "I;16" else Image.fromarray(GREYS).convert("RGB" if mode != "P" else "L").convert(mode)
    found = HuggingFace(Records([{"image": image}]), {"x": "image"})[0]["x"]
    if mode == "I;16":
        np.testing.assert_array_equal(found, np.asarray(wide))
        return
    assert found.shape == {"L": (4, 6), "RGBA": (4, 6, 4)}.get(mode, (4, 6, 3))
    np.testing.assert_allclose((found if mode == "L" else found[..., 0]).astype(int), GREYS, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_stands_upright(orientation):
    image = Image.fromarray(GREYS)
    image.getexif()[0x0112] = orientation
    found = HuggingFace(Records([{"image": image}]), {"x": "image"})[0]["x"]
    np.testing.assert_array_equal(found, np.asarray(ImageOps.exif_transpose(image)))


def test_bad_datasets_are_one_clear_error():
    with pytest.raises(TypeError, match=r"HuggingFace: expected a dataset with len and \[i\], found generator"):
        HuggingFace((i for i in range(3)), FIELDS)
    with pytest.raises(ValueError, match=r"HuggingFace: expected fields and records, found \{\} and 3"):
        HuggingFace(Duck(), {})
    with pytest.raises(ValueError, match=r"HuggingFace: expected fields and records, found .* and 0"):
        HuggingFace(Records(), FIELDS)
    for i in (-1, 3):
        with pytest.raises(IndexError, match=rf"expected an index in 0..2, found {i}"):
            HuggingFace(Duck(), FIELDS)[i]


def test_the_package_itself():
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    source = HuggingFace(dataset, {"x": "text", "y": "label"})
    assert [(source[i]["x"], source[i]["y"].item()) for i in range(len(source))] == [("a", 0), ("b", 1)]
