"""CIFAR-10 in its binary version: records of 3,073 bytes, a label and three planes of 32 by 32.

Law: any sequence of bytes gives either the images that it encodes or a ValueError that names the
file and the offset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jnn.data.sources._damage import Skipped, refuse
from jnn.data.sources._root import PathLike, check_part, find

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PARTS = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
_RECORD = 1 + 3 * 32 * 32


def cifar10(
    data_dir: PathLike | None = None, part: str = "train", *, skipped: Skipped | None = None
) -> dict[str, np.ndarray]:
    """CIFAR-10 from the files of `cifar-10-binary.tar.gz`, in the folder `cifar10`.

    See "Learning Multiple Layers of Features from Tiny Images", Krizhevsky, 2009.

    Args:
      data_dir: as for `data_root`.
      part: "train" (50,000 images) or "test" (10,000).
      skipped: counts damaged records and leaves them out; None stops at the first.

    Returns:
      `{"x": (n, 32, 32, 3) uint8, "y": (n,) int32}`; a label is an index into `CLASSES`.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: an unknown part, or a damaged file.
    """
    check_part("cifar10", part)
    how = "put the .bin files of the CIFAR-10 binary version there"
    files = [read_cifar(find(data_dir, f"cifar10/{name}", how=how), skipped=skipped) for name in _PARTS[part]]
    return {name: np.concatenate([file[name] for file in files]) for name in ("x", "y")}


def read_cifar(path: PathLike, *, skipped: Skipped | None = None) -> dict[str, np.ndarray]:
    """One file of records: `{"x": (n, 32, 32, 3) uint8, "y": (n,) int32}`.

    Args:
      path: the file.
      skipped: counts damaged records and leaves them out; None stops at the first.

    Raises:
      ValueError: a record that ends too soon, a label above 9, or no record that is whole.
    """
    name, data = Path(path).name, np.fromfile(path, np.uint8)
    whole, rest = divmod(data.size, _RECORD)
    records = data[: whole * _RECORD].reshape(-1, _RECORD)
    right = records[:, 0] < len(CLASSES)
    for i in np.flatnonzero(~right).tolist():
        _refuse(f"{name}: offset {i * _RECORD}", f"expected a label in 0..9, found {records[i, 0]}", skipped)
    if rest:
        _refuse(f"{name}: offset {whole * _RECORD}", f"expected {_RECORD} bytes of a record, found {rest}", skipped)
    if not right.any():
        raise ValueError(f"{name}: expected whole records of {_RECORD} bytes, found none in {data.size} bytes.")
    images = records[right, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return {"x": np.ascontiguousarray(images), "y": records[right, 0].astype(np.int32)}


def _refuse(where: str, problem: str, skipped: Skipped | None) -> None:
    refuse(where, ValueError(f"{where}: {problem}."), skipped)
