"""Aerial photographs of trees with a box around each crown, and tables of boxes.

Law: any sequence of bytes gives either the boxes that it encodes or a ValueError that names the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jnn.data.sources._csv import read_csv
from jnn.data.sources._images import decode_image
from jnn.data.sources._root import PathLike, find

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MAX_PIXELS = 2**26


def trees(data_dir: PathLike | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Trees from above: four photographs of the sites of NEON, at 10 cm a pixel, and the boxes of 951 crowns.

    See "DeepForest: A Python package for RGB deep learning tree crown delineation", Weinstein et al., 2020, with which
    they come.

    Args:
      data_dir: as for `data_root`; the files are `trees/boxes.csv` and the images that it names.

    Returns:
      Of each file by its name `{"x": (y, x, 3) uint8, "boxes": (n, 4) float32}`: corners x0, y0, x1, y1 in pixels.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file, or a box that is not inside its image.
    """
    how = "put the annotated images that come with DeepForest there"
    found = {}
    for name, boxes in read_boxes(find(data_dir, "trees/boxes.csv", how=how)).items():
        image = find(data_dir, f"trees/{name}", how=how)
        x = decode_image(name, image.read_bytes(), channels=3, max_pixels=MAX_PIXELS)
        if (boxes[:, 2:] > np.array([x.shape[1], x.shape[0]])).any():
            raise ValueError(f"boxes.csv: expected boxes inside {name}, {x.shape[1]} by {x.shape[0]}, found others.")
        found[name] = {"x": x, "boxes": boxes.astype(np.float32)}
    return found


def read_boxes(path: PathLike) -> dict[str, np.ndarray]:
    """Boxes from CSV: a line for each, with the columns image_path, xmin, ymin, xmax and ymax.

    Args:
      path: the file.

    Returns:
      Of each image by its name (n, 4) int32: corners x0, y0, x1, y1 in pixels, in the file's order.

    Raises:
      ValueError: a damaged table, a name that is a path, or a box that is none or begins left of or above its image.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("image_path,xmin,ymin,xmax,ymax,label\\n1.png,2,0,5,4,Tree\\n")
    ...     file.flush()
    ...     read_boxes(file.name)
    {'1.png': array([[2, 0, 5, 4]], dtype=int32)}
    """
    file = Path(path).name
    table = read_csv(path, {"image_path": str, **dict.fromkeys(CORNERS, int)})
    boxes = np.stack([table[name] for name in CORNERS], -1)
    if len(wrong := boxes[(boxes[:, 2:] <= boxes[:, :2]).any(-1) | (boxes < 0).any(-1)]):
        raise ValueError(
            f"{file}: expected boxes with 0 <= xmin < xmax and 0 <= ymin < ymax, found {wrong[0].tolist()}."
        )
    names = table["image_path"]
    for name in dict.fromkeys(names):
        if name != Path(name).name or "\\" in name:
            raise ValueError(f"{file}: expected names of images, found the path {name[:60]!r}.")
    return {name: boxes[names == name] for name in dict.fromkeys(names)}
