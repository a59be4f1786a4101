"""Emoji with their names: small pictures, and a table in JSON.

Law: any sequence of bytes gives either pictures and names or a ValueError that names the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jnn.data.sources._images import decode_image
from jnn.data.sources._jsonl import check_record, parse_json
from jnn.data.sources._root import PathLike, find

SIDE = 64
FIELDS = dict.fromkeys(("image", "name", "short_name", "category", "subcategory"), str)
HOW = "put the pictures and the table of emoji-datasource-twitter there"


def emoji(data_dir: PathLike | None = None) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Emoji: small pictures with names, in categories; for retrieval and generation. Art by Twitter, CC BY 4.0.

    Pillow decodes: `pip install 'jnn[images]'`.

    Args:
      data_dir: as for `data_root`; the files are `emoji/emoji.json` and those that it names in `emoji/images/`.

    Returns:
      Pictures (n, 64, 64, 4) uint8, the fourth channel their opacity; and of each, in the table's order, its "image"
      (the file's name: the code points, as in "1f468-200d-1f527.png"), "name", "short_name", "category" and
      "subcategory".

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged table or picture, or one of another size.
    """
    table = find(data_dir, "emoji/emoji.json", how=HOW)
    listed = parse_json(table.name, table.read_bytes())
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{table.name}: expected a list of emoji, found {repr(listed)[:60]}.")
    records = [check_record(f"{table.name}: entry {i}", record, FIELDS) for i, record in enumerate(listed)]
    return np.stack([_picture(data_dir, record["image"]) for record in records]), records


def _picture(data_dir: PathLike | None, name: str) -> np.ndarray:
    if name != Path(name).name or "\\" in name:
        raise ValueError(f"emoji.json: expected names of images, found the path {name[:60]!r}.")
    path = find(data_dir, f"emoji/images/{name}", how=HOW)
    x = decode_image(name, path.read_bytes(), channels=4, max_pixels=2**20)
    if x.shape[:2] != (SIDE, SIDE):
        raise ValueError(f"{name}: expected {SIDE} by {SIDE} pixels, found {x.shape[1]} by {x.shape[0]}.")
    return x
