"""TIFF: grey levels of a microscope, such as cell nuclei and the number of each.

Law: any sequence of bytes gives either the grey levels that it encodes or a ValueError that names the file; a file's
claim of its size is checked before it is decoded.

Pillow decodes, and is imported where it is used: `pip install 'jnn[images]'`.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from jnn.data.sources._root import PathLike, find
from jnn.optional import optional

MODES = ("L", "I;16", "I;16L", "I;16B")  # of Pillow: grey in 8 or 16 bits


def nuclei(data_dir: PathLike | None = None) -> dict[str, np.ndarray]:
    """Cell nuclei: a fluorescence image of 125 of them, and which pixels are whose.

    See "Cell Detection with Star-Convex Polygons", Schmidt et al., 2018, whose package has them as an example.

    Args:
      data_dir: as for `data_root`; the files are `nuclei/img2d.tif` and `nuclei/mask2d.tif`.

    Returns:
      x (512, 512) int32, grey levels; y (512, 512) int32, the number of the nucleus that a pixel is of, or 0.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file, or two that are not of one size.
      ImportError: without Pillow.
    """
    how = "put the two-dimensional example of stardist there"
    x, y = (read_tiff(find(data_dir, f"nuclei/{name}2d.tif", how=how)) for name in ("img", "mask"))
    if x.shape != y.shape:
        raise ValueError(f"nuclei: expected an image and a mask of one size, found {x.shape} and {y.shape}.")
    return {"x": x.astype(np.int32), "y": y.astype(np.int32)}


def read_tiff(path: PathLike, *, max_pixels: int = 2**26) -> np.ndarray:
    """Grey levels of a TIFF's first page: (y, x), uint8 or uint16 as they are stored.

    Args:
      path: the file.
      max_pixels: it may claim no more; what a small file claims may not fit into memory.

    Raises:
      ValueError: a file that is damaged, claims too many pixels, or holds anything but grey in 8 or 16 bits.
      ImportError: without Pillow.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.NamedTemporaryFile(suffix=".tif") as file:
    ...     Image.fromarray(np.array([[7, 300]], np.uint16)).save(file.name)
    ...     read_tiff(file.name)
    array([[  7, 300]], dtype=uint16)
    """
    name, data, pillow = Path(path).name, Path(path).read_bytes(), optional("PIL.Image", "images")
    try:
        image = pillow.open(io.BytesIO(data), formats=("TIFF",))  # reads the header alone
    except Exception as error:  # of Pillow's own, and whatever else its parsers meet in bytes from anywhere
        raise ValueError(f"{name}: not a TIFF image ({error}).") from error
    if image.mode not in MODES:
        raise ValueError(f"{name}: expected grey levels of 8 or 16 bits, found an image of mode {image.mode!r}.")
    if image.width * image.height > max_pixels:
        raise ValueError(
            f"{name}: claims {image.width} x {image.height} pixels, more than the {max_pixels} of max_pixels."
        )
    try:
        pixels = np.asarray(image)
        return pixels.astype(pixels.dtype.newbyteorder("="))
    except Exception as error:  # likewise
        raise ValueError(f"{name}: a damaged image of {len(data)} bytes ({error}).") from error
