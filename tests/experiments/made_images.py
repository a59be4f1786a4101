"""A folder of made-up images in the files of MNIST and Fashion-MNIST: each class a bright square of its own."""

import gzip
import struct

import numpy as np


def write(folder, rows=(120, 40), names=("mnist", "fashion_mnist")):
    """As many rows of training and of test."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for part, n in zip(("train", "t10k"), rows, strict=True):
            y = np.arange(n, dtype=np.uint8) % 10
            x = rng.integers(0, 30, (n, 28, 28), dtype=np.uint8)
            for image, label in zip(x, y, strict=True):
                image[4 + 2 * label : 10 + 2 * label, 3 + 14 * (label % 2) : 13 + 14 * (label % 2)] += 200
            for what, array in (("images-idx3", x), ("labels-idx1", y)):
                header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
                with gzip.open(folder / name / f"{part}-{what}-ubyte.gz", "wb") as file:
                    file.write(header + array.tobytes())
    return str(folder)
