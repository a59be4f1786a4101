"""ImageFolder: order, labels, pixels as Pillow's; bombs and damaged files; what is skipped."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

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


def only(tmp_path, name, **options):
    """The pixels of the one image of a folder."""
    source = ImageFolder(tmp_path, **options)
    assert [path.name for path, _ in source.files] == [name]
    return source[0]["x"]


LEVELS = np.random.default_rng(0).integers(0, 256, (4, 6)).astype(np.uint8)


def saved(tmp_path, image, name="1.png", **options):
    (tmp_path / "c").mkdir(exist_ok=True)
    image.save(tmp_path / "c" / name, **options)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGB", "RGBA", "P"])
def test_every_mode_of_png_is_what_a_viewer_shows(tmp_path, mode, channels):
    """A grey image that is written in any mode is read as the same 256 greys."""
    grey = Image.fromarray(LEVELS)
    wide = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    image = wide if mode == "I;16" else grey.convert("L").convert(mode)
    assert image.mode == mode
    saved(tmp_path, image)
    expected = np.where(np.asarray(image), 255, 0) if mode == "1" else LEVELS
    np.testing.assert_array_equal(only(tmp_path, "1.png", channels=channels), np.stack([expected] * channels, -1))


def png16(pixels, kind):
    """16 bits a channel, of which Pillow writes grey alone."""
    part = lambda tag, data: struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(lines)) + part(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)], ids=["grey", "colour", "grey+", "colour+"]
)
def test_of_16_bits_the_upper_8_are_kept(tmp_path, kind, channels):
    pixels = np.random.default_rng(0).integers(0, 2**16, (4, 6, channels)).astype(np.uint16)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.png").write_bytes(png16(pixels, kind))
    seen = pixels[..., :3] if channels > 2 else np.repeat(pixels[..., :1], 3, -1)
    np.testing.assert_array_equal(only(tmp_path, "1.png"), seen >> 8)


def test_transparency_is_left_out_and_the_colour_stays(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    saved(tmp_path, image, transparency=bytes([0, 128]))  # of each entry of the palette
    assert only(tmp_path, "1.png")[0].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_jpeg_of_four_inks_is_read_in_three_colours(tmp_path):
    saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "1.jpg")
    np.testing.assert_allclose(only(tmp_path, "1.jpg")[4, 4].astype(int), [255, 0, 0], atol=3)


@pytest.mark.parametrize("name", ["1.png", "1.jpg"])
@pytest.mark.parametrize("orientation", range(10))
def test_an_image_stands_upright(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    saved(tmp_path, Image.fromarray(np.stack([LEVELS, LEVELS // 2, LEVELS // 3], -1)), name, exif=exif)
    with Image.open(tmp_path / "c" / name) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    found = only(tmp_path, name)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_damaged_exif_says_nothing(tmp_path):
    saved(tmp_path, Image.fromarray(LEVELS), exif=b"Exif\0\0 not of this kind")
    np.testing.assert_array_equal(only(tmp_path, "1.png", channels=1)[..., 0], LEVELS)


def test_hidden_files_and_folders_are_none(tmp_path):
    saved(tmp_path, Image.fromarray(LEVELS))
    for hidden in ("c/._1.png", "c/.DS_Store", "c/Thumbs.db", ".DS_Store", "__MACOSX/1.png", ".git/1.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"\0\5\26\7")
    assert only(tmp_path, "1.png").shape == (4, 6, 3)
    assert ImageFolder(tmp_path).classes == ("c",)
