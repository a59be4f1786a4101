"""Folders of images, one folder a class: `<root>/<class>/<name>.png` or `.jpg`.

Laws: classes are the folders' names in order, and a label is the place among them; files are sorted,
so that the same folder gives the same source everywhere; an image is what a viewer shows of it, upright and in 256
levels; what begins with a dot, or is macOS's `__MACOSX`, is no class and no image; a file's claim of its size is
checked before it is decoded.

Pillow decodes, and is imported where it is used: `pip install 'jnn[images]'`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jnn.data.sources._damage import Skipped, refuse
from jnn.data.sources._root import PathLike
from jnn.optional import optional

SUFFIXES = (".png", ".jpg", ".jpeg")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ORIENTATION = 0x0112  # EXIF's tag for which side of the stored image is the top of the one that is seen
_UPRIGHT: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


class ImageFolder:
    """Image folder: an indexed source of labelled images; an image is read when it is asked for.

    Args:
      root: the folder of the classes' folders. Files that are not `.png`, `.jpg` or `.jpeg` are no images.
      channels: 3 for colour, 1 for grey; every image is converted. Of 16 bits a channel the upper 8 are kept,
        transparency is left out (the colour beneath it stays), and an EXIF orientation is applied.
      max_pixels: no image may claim more; what a small file claims may not fit into memory.
      skipped: counts damaged images, and gives None for them; None stops at the first.

    Raises:
      FileNotFoundError: no such folder.
      ValueError: no class, a class without images, other channels or fewer than one pixel.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("cat", "dog"):
    ...         (Path(root) / name).mkdir()
    ...         Image.new("RGB", (5, 4)).save(f"{root}/{name}/1.png")
    ...     source = ImageFolder(root)
    ...     len(source), source.classes, source[1]["x"].shape, source[1]["y"].item()
    (2, ('cat', 'dog'), (4, 5, 3), 1)
    """

    def __init__(
        self, root: PathLike, *, channels: int = 3, max_pixels: int = 2**26, skipped: Skipped | None = None
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"{root}: no such folder; ImageFolder expects one folder a class in it.")
        if channels not in (1, 3) or max_pixels < 1:
            raise ValueError(f"ImageFolder: channels are 1 or 3, pixels 1 or more; found {channels}, {max_pixels}.")
        self.classes = tuple(sorted(folder.name for folder in self.root.iterdir() if _seen(folder) and folder.is_dir()))
        images = [_images(self.root / name) for name in self.classes]
        if not images or not all(images):
            found = f"no image in {self.classes[images.index([])]!r}" if images else "no folder"
            raise ValueError(f"{self.root}: expected folders <class>/*.png or *.jpg, found {found}.")
        self.files = [(path, label) for label, paths in enumerate(images) for path in paths]
        self.channels, self.max_pixels, self.skipped = channels, max_pixels, skipped

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> dict[str, Any] | None:
        """`{"x": (y, x, c) uint8, "y": () int32}`, or None for one that was skipped.

        Raises:
          ValueError: an image that cannot be decoded, or that claims too many pixels.
        """
        path, label = self.files[i]
        name = path.relative_to(self.root).as_posix()
        try:
            image = decode_image(name, path.read_bytes(), channels=self.channels, max_pixels=self.max_pixels)
            return {"x": image, "y": np.int32(label)}
        except ValueError as error:
            refuse(name, error, self.skipped)
            return None


def decode_image(name: str, data: bytes, *, channels: int, max_pixels: int) -> np.ndarray:
    """The pixels (y, x, channels) uint8 of a PNG or JPEG file, as a viewer shows them; the fourth channel is opacity.

    Raises:
      ValueError: an image that cannot be decoded, or that claims too many pixels; `name` is said.
    """
    pillow = optional("PIL.Image", "images")
    try:
        image = pillow.open(io.BytesIO(data), formats=("PNG", "JPEG"))  # reads the header alone
    except Exception as error:  # of Pillow's own, and whatever else its parsers meet in bytes from anywhere
        raise ValueError(f"{name}: not a PNG or JPEG image ({error}).") from error
    if image.width * image.height > max_pixels:
        raise ValueError(
            f"{name}: claims {image.width} x {image.height} pixels, more than the {max_pixels} of max_pixels."
        )
    try:
        image.load()
        pixels = np.asarray(_in_8_bits(image).convert(_MODES[channels]))
    except Exception as error:  # likewise
        raise ValueError(f"{name}: a damaged image of {len(data)} bytes ({error}).") from error
    return _upright(image, pixels.reshape(image.height, image.width, channels))


def picture(image: Any) -> np.ndarray:
    """What is seen of an image of Pillow's, in its own channels: upright, and in colours where it holds something else.

    >>> from PIL import Image
    >>> picture(Image.new("CMYK", (1, 1), (0, 255, 255, 0))).tolist()
    [[[255, 0, 0]]]
    """
    image.load()
    plain = image.mode in ("1", "L", "LA", "I", "I;16", "F", "RGB", "RGBA")
    return _upright(image, np.asarray(image if plain else _in_8_bits(image).convert("RGB")))


def _upright(image: Any, pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(_UPRIGHT.get(_orientation(image), lambda x: x)(pixels))


def _in_8_bits(image: Any) -> Any:
    """The image in a mode that Pillow converts to others by what is seen."""
    if image.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off at 255; of colour, Pillow reads 8
        return optional("PIL.Image", "images").fromarray((np.asarray(image) >> 8).astype(np.uint8))
    transparent = image.mode == "P" and "transparency" in image.info
    return image.convert("RGBA") if transparent else image  # each entry of a palette may be transparent by itself


def _orientation(image: Any) -> Any:
    """What EXIF says of how to hold the image; nothing where it is damaged."""
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # whatever Pillow's parsers meet; the pixels are decoded already
        return None


def _images(folder: Path) -> list[Path]:
    images = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in images if _seen(path) and path.is_file())


def _seen(path: Path) -> bool:
    """Whether it is no hidden file or folder, such as macOS's `._1.png`, `.git` and `.ipynb_checkpoints`."""
    return not path.name.startswith(".") and path.name != "__MACOSX"
