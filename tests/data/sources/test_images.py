"""ImageFolder: order, labels, pixels as Pillow's; bombs and damaged files; what is skipped."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jnn.data import ImageFolder, Skipped


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for name, file, mode in [
        ("b", "2.png", "RGB"),
        ("b", "1.PNG", "L"),
        ("a", "x.jpeg", "RGB"),
        ("a", "w.png", "RGBA"),
    ]:
        (tmp_path / name).mkdir(exist_ok=True)
        shape = {"L": (4, 6), "RGB": (4, 6, 3), "RGBA": (4, 6, 4)}[mode]
        Image.fromarray(rng.integers(0, 256, shape, np.uint8), mode).save(tmp_path / name / file)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "notes.txt").write_text("no class")
    return tmp_path


def test_files_are_sorted_and_labels_are_places(root):
    source = ImageFolder(root)
    assert source.classes == ("a", "b")
    assert [path.name for path, _ in source.files] == ["w.png", "x.jpeg", "1.PNG", "2.png"]
    assert [int(source[i]["y"]) for i in range(len(source))] == [0, 0, 1, 1]
    assert {(source[i]["x"].shape, source[i]["x"].dtype.name) for i in range(4)} == {((4, 6, 3), "uint8")}
    assert source[0]["y"].dtype == np.int32
    np.testing.assert_array_equal(source[3]["x"], np.asarray(Image.open(root / "b" / "2.png")))
    with pytest.raises(IndexError):
        source[4]


def test_grey_has_one_channel(root):
    grey = ImageFolder(root, channels=1)[2]["x"]
    assert grey.shape == (4, 6, 1)
    np.testing.assert_array_equal(grey[..., 0], np.asarray(Image.open(root / "b" / "1.PNG")))


def png(width, height):
    """A PNG of a few bytes that claims any size."""
    part = lambda tag, data: struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a/w.png: not a PNG or JPEG image"),
        (b"GIF89a", r"a/w.png: not a PNG or JPEG image"),
        (png(10**4, 10**4), r"a/w.png: (claims 10000 x 10000 pixels, more than|not a PNG or JPEG image \(Image size)"),
        (png(2**31 - 1, 2**31 - 1), r"a/w.png: not a PNG or JPEG image \(Image size .* decompression bomb"),
        (png(100, 100), r"a/w.png: a damaged image of \d+ bytes"),
    ],
)
def test_a_damaged_image_names_its_file_or_is_skipped(root, data, message):
    (root / "a" / "w.png").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        ImageFolder(root)[0]
    source = ImageFolder(root, skipped=Skipped())
    assert [source[i] is None for i in [*range(4), *range(4)]] == 2 * [True, False, False, False]
    assert source.skipped.count == 1


def test_the_limit_of_pixels_is_the_callers(root):
    with pytest.raises(ValueError, match=r"a/w.png: claims 6 x 4 pixels, more than the 23 of max_pixels"):
        ImageFolder(root, max_pixels=23)[0]
    assert ImageFolder(root, max_pixels=24)[0] is not None


def test_a_cut_image_is_damaged(root):
    path = root / "b" / "2.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"b/2.png: a damaged image of \d+ bytes"):
        ImageFolder(root)[3]


def test_bad_folders_are_one_clear_error(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: no such folder; ImageFolder expects one folder a class"):
        ImageFolder(tmp_path / "none")
    (root / "c").mkdir()
    with pytest.raises(ValueError, match=r"expected folders <class>/\*.png or \*.jpg, found no image in 'c'"):
        ImageFolder(root)
    with pytest.raises(ValueError, match=r"found no folder"):
        ImageFolder(root / "c")
    for options in ({"channels": 2}, {"max_pixels": 0}):
        with pytest.raises(ValueError, match=r"ImageFolder: channels are 1 or 3, pixels 1 or more"):
            ImageFolder(root, **options)
