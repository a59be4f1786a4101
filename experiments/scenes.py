"""Scenes to find things in: photographs of trees from above, and garments pasted on photographs.

    tree_scenes(data_dir), garment_scenes(data_dir) -> Data(train, validation, test)

Each part is {"x": (n, 160, 160, 3) uint8, "boxes": (n, m, 4) float32, "labels": (n, m) int32}, ready for
`jnn.data.Batches`: corners in pixels, and the label -1 where there is no box.
"""

from __future__ import annotations

import numpy as np

from experiments.datasets import SPLIT_SEED, Data
from jnn import data

SIZE = 160
TEST, HELD_OUT = "2019_YELL_2_541000_4977000_image_crop.png", "2019_YELL_2_528000_4978000_image_crop2.png"
GARMENTS = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
SCENES = {"train": 1200, "validation": 100, "test": 200}
Part = dict[str, np.ndarray]


def tree_scenes(data_dir: str | None = None) -> Data:
    """Tiles of four aerial photographs, at 20 cm a pixel: one photograph tests; the lowest fifth of another validates.

    Tiles that train overlap by half. The others do not, and what lies beyond the photograph is black. A tree that a
    tile cuts off is there if 40 % of its box are.
    """
    photographs = {name: _halved(**one) for name, one in data.trees(data_dir).items()}
    x, boxes = photographs[HELD_OUT]
    row = x.shape[0] * 4 // 5
    training = [(x[:row], boxes), *(one for name, one in photographs.items() if name not in (TEST, HELD_OUT))]
    parts = (
        [tile for one in training for tile in _tiles(*one, SIZE // 2)],
        _tiles(x[row:], boxes - np.float32([0, row, 0, row]), SIZE),
        _tiles(*photographs[TEST], SIZE),
    )
    return Data(*map(_padded, parts))


def garment_scenes(data_dir: str | None = None) -> Data:
    """Fashion-MNIST's garments in colours, one to five on a piece of a photograph; its test garments test.

    The two photographs are scikit-learn's. The left half of each trains, the next quarter validates, the last tests; a
    sixth of the 60,000 garments validates.
    """
    from sklearn.datasets import load_sample_images

    photographs = [image[:, :640] for image in load_sample_images().images]
    training, validation = data.split(data.mnist(data_dir, name="fashion_mnist"), 1 / 6, seed=SPLIT_SEED)
    garments = {"train": training, "validation": validation, "test": data.mnist(data_dir, "test", name="fashion_mnist")}
    columns = {"train": (0, 320), "validation": (320, 480), "test": (480, 640)}
    rng = np.random.default_rng(SPLIT_SEED)
    return Data(
        *(
            _padded([_scene(rng, [x[:, slice(*columns[part])] for x in photographs], garments[part]) for _ in range(n)])
            for part, n in SCENES.items()
        )
    )


def _halved(x: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A photograph at half its scale."""
    height, width = (n // 2 for n in x.shape[:2])
    means = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
    return means.round().astype(np.uint8), boxes / 2


def _tiles(x: np.ndarray, boxes: np.ndarray, stride: int, visible: float = 0.4) -> list[tuple[np.ndarray, ...]]:
    """Pieces of a photograph with what is seen of its boxes, and their labels."""
    found = []
    for top, left in np.ndindex(*(-(-max(n - SIZE, 0) // stride) + 1 for n in x.shape[:2])):
        corner = np.float32([left, top]) * stride
        piece = np.zeros((SIZE, SIZE, 3), np.uint8)
        part = x[top * stride :, left * stride :][:SIZE, :SIZE]
        piece[: part.shape[0], : part.shape[1]] = part
        moved = boxes - np.tile(corner, 2)
        inside = moved.clip(0, np.tile(part.shape[1::-1], 2))
        area = lambda box: (box[:, 2:] - box[:, :2]).prod(-1)
        seen = inside[area(inside) >= visible * area(moved)]
        found.append((piece, seen, np.zeros(len(seen), np.int32)))
    return found


def _scene(rng: np.random.Generator, photographs: list[np.ndarray], garments: Part) -> tuple[np.ndarray, ...]:
    """A piece of a photograph with garments that hardly overlap, each once or twice its size and in a colour."""
    photograph = photographs[rng.integers(len(photographs))]
    top, left = (rng.integers(0, n - SIZE + 1) for n in photograph.shape[:2])
    x = photograph[top : top + SIZE, left : left + SIZE].copy()
    taken, boxes, labels = np.zeros((SIZE, SIZE), bool), [], []
    for row in rng.integers(0, len(garments["y"]), rng.integers(1, 6)):
        image = np.kron(garments["x"][row], np.ones((scale := rng.integers(1, 3), scale), np.uint8))
        down, right = np.flatnonzero((image > 32).any(1)), np.flatnonzero((image > 32).any(0))
        image = image[down[0] : down[-1] + 1, right[0] : right[-1] + 1]
        height, width = image.shape
        y0, x0 = rng.integers(0, SIZE - height + 1), rng.integers(0, SIZE - width + 1)
        place = slice(y0, y0 + height), slice(x0, x0 + width)
        if taken[place].mean() > 0.2:
            continue
        taken[place] = True
        coloured = image[..., None] * rng.uniform(0.3, 1, 3)
        x[place] = np.where(image[..., None] > 32, coloured, x[place]).astype(np.uint8)
        boxes.append((x0, y0, x0 + width, y0 + height))
        labels.append(garments["y"][row])
    return x, np.float32(boxes), np.int32(labels)


def _padded(scenes: list[tuple[np.ndarray, ...]]) -> Part:
    """Scenes as arrays, filled up with boxes that are none."""
    most = max(len(labels) for _, _, labels in scenes)
    found = {
        "x": np.stack([x for x, _, _ in scenes]),
        "boxes": np.zeros((len(scenes), most, 4), np.float32),
        "labels": np.full((len(scenes), most), -1, np.int32),
    }
    for i, (_, boxes, labels) in enumerate(scenes):
        found["boxes"][i, : len(boxes)], found["labels"][i, : len(labels)] = boxes, labels
    return found
