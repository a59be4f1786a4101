"""Omniglot in its original files: drawings of characters by alphabet, and the published runs of the one-shot task.

    omniglot(part)      omniglot/images_<part>/<alphabet>/<character>/*.png
    omniglot_runs()     omniglot/one_shot/<run>/training/*.png, test/*.png and class_labels.txt

Law: what is not as it should be is one error that names the file or the folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jnn.data.sources._images import ImageFolder
from jnn.data.sources._root import PathLike, find

PARTS = ("background_small1", "background_small2", "background", "evaluation")
HOW = "put the folders of Omniglot's python version there"


def omniglot(
    data_dir: PathLike | None = None, part: str = "background_small1"
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Omniglot: handwritten characters of many alphabets, each drawn by 20 people, for learning from one example.

    See "Human-level concept learning through probabilistic program induction", Lake et al., 2015. The two small sets,
    of five alphabets each, have two in common. Pillow decodes: `pip install 'jnn[images]'`.

    Args:
      data_dir: as for `data_root`.
      part: "background" (30 alphabets), "evaluation" (20), "background_small1" or "background_small2" (5).

    Returns:
      `{"x": (n, 105, 105) uint8, ink 0 and paper 255, "y": (n,) int32, "alphabet": (n,) int32}`, where "y" numbers the
      characters of all alphabets; and the alphabets' names.

    Raises:
      FileNotFoundError: one line that says which folder, where, and how to get it.
      ValueError: an unknown part, a damaged file, or images of several sizes.
    """
    if part not in PARTS:
        raise ValueError(f"omniglot: expected a part of {PARTS}, found {part!r}.")
    folder = find(data_dir, f"omniglot/images_{part}/", how=HOW)
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    if not names:
        raise ValueError(f"{folder}: expected a folder for each alphabet, found none.")
    sources = [ImageFolder(folder / name, channels=1) for name in names]
    first = np.cumsum([0, *(len(source.classes) for source in sources)])
    parts = [_read(source) for source in sources]
    if len(sizes := {x.shape[1:] for x, _ in parts}) > 1:
        raise ValueError(f"{folder}: expected images of one size, found {sorted(sizes)}.")
    y = np.concatenate([own + start for (_, own), start in zip(parts, first, strict=False)])
    alphabet = np.repeat(np.arange(len(names)), [len(own) for _, own in parts])
    x = np.concatenate([x for x, _ in parts])
    return {"x": x, "y": y.astype(np.int32), "alphabet": alphabet.astype(np.int32)}, names


def omniglot_runs(data_dir: PathLike | None = None) -> dict[str, np.ndarray]:
    """Omniglot's one-shot classification: the 20 published runs, each of 20 characters of one alphabet.

    See "Human-level concept learning through probabilistic program induction", Lake et al., 2015.

    Args:
      data_dir: as for `data_root`.

    Returns:
      `{"support": (20, 20, 105, 105) uint8, "query": (20, 20, 105, 105) uint8, "y": (20, 20) int32}`: of each run an
      image of each class, images to classify, and the class of each of these; images as of `omniglot`.

    Raises:
      FileNotFoundError: one line that says which folder, where, and how to get it.
      ValueError: a damaged file, or images that the labels do not name.
    """
    folder = find(data_dir, "omniglot/one_shot/", how=HOW)
    runs = [_run(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    if len(sizes := {part.shape for run in runs for part in run}) != 2:
        raise ValueError(f"{folder}: expected runs of one size, found {sorted(sizes)}.")
    return {
        name: np.stack(parts) for name, parts in zip(("support", "query", "y"), zip(*runs, strict=True), strict=True)
    }


def _run(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images of the classes, those to classify, and the class of each of these."""
    source = ImageFolder(folder, channels=1)
    images, _ = _read(source)
    place = {f"{folder.name}/{path.relative_to(folder).as_posix()}": i for i, (path, _) in enumerate(source.files)}
    lines = [line.split() for line in (folder / "class_labels.txt").read_text().splitlines()]
    if any(len(line) != 2 or not place.keys() >= {*line} for line in lines):
        raise ValueError(
            f"{folder / 'class_labels.txt'}: expected two images of the run a line, as in 'run/a.png run/b.png'."
        )
    classes = sorted({own for _, own in lines})
    support, query = (images[[place[name] for name in names]] for names in (classes, [item for item, _ in lines]))
    return support, query, np.array([classes.index(own) for _, own in lines], np.int32)


def _read(source: ImageFolder) -> tuple[np.ndarray, np.ndarray]:
    """All its images (n, y, x), which are of one size, and their labels (n,)."""
    examples = [example for example in map(source.__getitem__, range(len(source))) if example is not None]
    if len(sizes := {example["x"].shape for example in examples}) > 1:
        raise ValueError(f"{source.root}: expected images of one size, found {sorted(sizes)}.")
    x, y = (np.stack([example[name] for example in examples]) for name in ("x", "y"))
    return x[..., 0], y
