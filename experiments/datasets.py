"""What the experiments train on: the same arrays for jnn and for every peer.

    name(...) -> Data(train, validation, test)      each {"x": ..., "y": ..., ...}, ready for `jnn.data.Batches`

The splits have a fixed seed: the seeds of an experiment move initial values, order and noise, not
the data. Everything fitted (means, deviations, a vocabulary) is fitted on the training rows alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy import ndimage

from jnn import data
from jnn.data import Standard

SPLIT_SEED = 0
FACE = (28, 23)  # pixels of a face, down and across
VOCABULARY, REVIEW_WORDS = 10_000, 400
NUCLEI_GAP = 32  # pixels between what trains and the other quadrants
OUTSIDE, RIM, INSIDE = 1, 2, 3  # classes of a nucleus's pixels


class Data(NamedTuple):
    """Three parts of a data set; `target` takes predictions back to the original units, if they have any."""

    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    target: Standard | None = None


def binary() -> Data:
    """1,000 rows of 10 uniform features, standardised, y = 1 where their sum exceeds 5; a fifth for testing, a fifth
    of the rest for validation."""
    parts = _three(data.sum_above_half(1000, 10))
    x = data.fit_standard(parts.train["x"])
    return Data(*({"x": x.apply(part["x"]), "y": part["y"]} for part in parts[:3]))


def noisy_sum() -> Data:
    """1,000 rows of 20 normal features, y = their sum + 0.1 normal noise; both standardised."""
    return _standardised(_three(data.noisy_sum(1000, 20)))


def diabetes() -> Data:
    """scikit-learn's 442 patients, 10 features; both standardised."""
    return _standardised(_three(data.diabetes()))


def digits() -> Data:
    """scikit-learn's 1,797 digits, (n, 8, 8, 1) in 0..1."""
    arrays = data.digits()
    return _three(arrays | {"x": arrays["x"][..., None]})


def digits_4x4() -> Data:
    """The same digits, (n, 16): means of 2x2 pixels, in 0..1."""
    arrays = data.digits()
    return _three(arrays | {"x": arrays["x"].reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)})


def moons() -> Data:
    """scikit-learn's two moons: 2,000 points with normal noise of 0.2, (n, 2), standardised."""
    from sklearn.datasets import make_moons

    x, y = make_moons(2000, noise=0.2, random_state=SPLIT_SEED)
    parts = _three({"x": x.astype(np.float32), "y": y.astype(np.int32)})
    standard = data.fit_standard(parts.train["x"])
    return Data(*({"x": standard.apply(part["x"]), "y": part["y"]} for part in parts[:3]))


def mnist(data_dir: str | None = None, name: str = "mnist") -> Data:
    """MNIST or Fashion-MNIST, (n, 784) float32 in 0..1; a fifth of the 60,000 for validation."""
    train, test = (data.mnist(data_dir, part, name=name) for part in ("train", "test"))
    for part in (train, test):
        part["x"] = part["x"].reshape(-1, 784).astype(np.float32) / 255
    return Data(*data.split(train, 0.2, seed=SPLIT_SEED), test)


DIGITS = {"plain": 0, "affine": 6, "overlap": 4}  # pixels around a digit, in which it may move


def digits_for_capsules(task: str, data_dir: str | None = None) -> Data:
    """MNIST's digits for `experiments.capsules`: x (n, digits, y, x, 1) uint8, y (n, digits).

    In training each is in the middle, to be moved; in validation and in the test it lies somewhere, and for "affine"
    is turned by up to 20 degrees, sheared by 0.2 and scaled by 0.8 to 1.2. "overlap" pairs each digit with one of
    another class.
    """
    train, test = (data.mnist(data_dir, part) for part in ("train", "test"))
    parts = (*data.split(train, 1 / 12, seed=SPLIT_SEED), test)
    return Data(*(_digits(task, part, SPLIT_SEED + i, held_out=i > 0) for i, part in enumerate(parts)))


def _digits(task: str, part: dict[str, np.ndarray], seed: int, *, held_out: bool) -> dict[str, np.ndarray]:
    x, y, around, keys = part["x"][..., None], part["y"], DIGITS[task], jax.random.split(jax.random.key(seed), 3)
    x = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))
    if task == "affine" and held_out:
        x = np.asarray(data.random_affine(x, degrees=20, shear=0.2, scale=(0.8, 1.2), key=keys[0]))
    partners = [_of_another_class(y, seed)] if task == "overlap" else []
    x, y = (np.stack([array, *(array[rows] for rows in partners)], 1) for array in (x, y))
    if held_out:
        moved = data.random_crop(x.reshape(-1, *x.shape[2:]), padding=around, key=keys[1])
        x = np.asarray(moved).reshape(x.shape)
    return {"x": x, "y": y}


def _of_another_class(y: np.ndarray, seed: int) -> np.ndarray:
    """For each row another one, drawn evenly, whose class differs."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))
    while len(same := np.flatnonzero(y[rows] == y)):
        rows[same] = rng.integers(0, len(y), len(same))
    return rows


def cifar10(data_dir: str | None = None) -> Data:
    """CIFAR-10, (n, 32, 32, 3) uint8; 5,000 of the 50,000 for validation. `scale_images` makes it float."""
    return Data(*data.split(data.cifar10(data_dir, "train"), 0.1, seed=SPLIT_SEED), data.cifar10(data_dir, "test"))


def balanced(part: dict[str, np.ndarray], each: int, *, seed: int) -> dict[str, np.ndarray]:
    """So many rows of each class, drawn without repetition; classes take turns: the first rows are balanced, too.

    >>> part = {"y": np.array([0, 1, 0, 1, 0, 1, 1])}
    >>> balanced(part, 2, seed=0)["y"].tolist()
    [0, 1, 0, 1]
    """
    order = np.random.default_rng(seed).permutation(len(part["y"]))
    rows = [order[part["y"][order] == label][:each] for label in np.unique(part["y"])]
    return {name: array[np.stack(rows, 1).ravel()] for name, array in part.items()}


def scale_images(x):
    """uint8 images to float32 of mean about 0 and deviation about 1; for arrays of any library, on its device."""
    return (x / 255 - 0.47) / 0.25


def sentiment(data_dir: str | None = None) -> Data:
    """IMDB: `reviews` without their words."""
    return reviews(data_dir)[0]


def reviews(data_dir: str | None = None) -> tuple[Data, data.Words]:
    """IMDB, and its vocabulary: ids (n, 400) of the last 400 words of each review, their number in `length`, y in 0..1.

    The 10,000 ids are those of the training reviews. The last tenth of either class is for validation: a film's
    reviews are neighbours in the files, so its films are others, as the test's are.
    """
    texts, labels = data.imdb(data_dir, "train")
    held = np.zeros(len(texts), bool)
    for rows in (np.flatnonzero(labels == c) for c in (0, 1)):
        held[rows[len(rows) * 9 // 10 :]] = True
    kept, validation = ({"row": np.flatnonzero(part), "y": labels[part]} for part in (~held, held))
    vocabulary = data.Words.build((texts[row] for row in kept["row"]), VOCABULARY)

    def encode(texts: Iterable[str], labels: np.ndarray) -> dict[str, np.ndarray]:
        ids, lengths = data.pad([vocabulary.encode(text) for text in texts], REVIEW_WORDS, keep="last")
        return {"x": ids, "length": lengths, "y": labels}

    train, validation = (encode((texts[row] for row in part["row"]), part["y"]) for part in (kept, validation))
    return Data(train, validation, encode(*data.imdb(data_dir, "test"))), vocabulary


def addresses(data_dir: str | None = None) -> tuple[Data, dict[str, np.ndarray], str, tuple[str, ...]]:
    """Addresses, word by word: letters x (n, 20, 20), tags y (n, 20) and their number in `length`; and 63 hard ones.

    Returns them with the letters, by their ids from 1, and the tags. The tenth that validates and the fifth that tests
    are of those that people labelled.
    """
    labelled, messy = data.usaddress(data_dir), data.usaddress(data_dir, "messy")
    rest, test = data.split({"row": np.arange(len(labelled))}, 0.2, seed=SPLIT_SEED)
    train, validation = data.split(rest, 0.125, seed=SPLIT_SEED)
    parts = [[labelled[row] for row in part["row"]] for part in (train, validation, test)]
    letters = "\0" + "".join(sorted({letter for words, _ in parts[0] for letter in "".join(words)}))
    tags = tuple(sorted({tag for _, own in labelled for tag in own}))
    encoded = [_letters(part, letters, tags) for part in (*parts, messy)]
    return Data(*encoded[:3]), encoded[3], letters, tags


def nuclei(data_dir: str | None = None, tile: int = 64) -> Data:
    """One picture of nuclei, four times: each quadrant tests once, the next one validates, the other two train.

    What trains are tiles, between which and any other quadrant 32 pixels lie at least: no nucleus of theirs is in
    another part. Those of one quadrant overlap.

    Args:
      data_dir: as everywhere.
      tile: their side.

    Returns:
      x (n, 4, y, x, 1) float32, from 0 at the 1st percentile of what trains to 1 at the 99.8th, and classes y (n, 4,
      y, x), along the second axis by the quadrant that tests, clockwise from the upper left; of what tests and what
      validates, where n is 1, the numbers "ids" of the nuclei, of which the quadrants' edges cut some.
    """
    folds = [_nuclei_without(data.nuclei(data_dir), quadrant, tile) for quadrant in range(4)]
    along = lambda *parts: {name: np.stack([part[name] for part in parts], 1) for name in parts[0]}
    return Data(*map(along, *folds))


def _nuclei_without(picture: dict[str, np.ndarray], held_out: int, tile: int) -> tuple[dict[str, np.ndarray], ...]:
    """What trains, validates and tests, where this quadrant tests."""
    whole = {"x": picture["x"], "y": nucleus_classes(picture["y"]), "ids": picture["y"]}
    inner, outer = ({name: _quadrants(array, gap) for name, array in whole.items()} for gap in (NUCLEI_GAP, 0))
    test, validation, *train = ((held_out + i) % 4 for i in range(4))
    low, high = np.percentile([inner["x"][i] for i in train], (1, 99.8))
    scaled = lambda part: part | {"x": ((part["x"][..., None] - low) / (high - low)).astype(np.float32)}
    tiles = {name: np.concatenate([_tiles(inner[name][i], tile) for i in train]) for name in ("x", "y")}
    return tuple(
        map(scaled, (tiles, *({name: array[i][None] for name, array in outer.items()} for i in (validation, test))))
    )


def nucleus_classes(ids: np.ndarray) -> np.ndarray:
    """Classes of pixels (y, x): `OUTSIDE` of all nuclei, in the `RIM` of one, two pixels wide, or `INSIDE`.

    0 is left for pixels that nothing is known of.
    """
    alone = ndimage.minimum_filter(ids, 5) == ndimage.maximum_filter(ids, 5)
    return np.where(ids == 0, OUTSIDE, np.where(alone, INSIDE, RIM)).astype(np.uint8)


def _quadrants(image: np.ndarray, gap: int) -> list[np.ndarray]:
    """Quadrants clockwise from the upper left, each less so many pixels on the sides where others are."""
    half = len(image) // 2
    first, last = slice(0, half - gap), slice(half + gap, None)
    return [image[rows, columns] for rows, columns in ((first, first), (first, last), (last, last), (last, first))]


def join_quadrants(parts: np.ndarray) -> np.ndarray:
    """One image of four (4, y, x), clockwise from the upper left."""
    first, second, third, fourth = parts
    return np.block([[first, second], [fourth, third]])


def _tiles(image: np.ndarray, side: int) -> np.ndarray:
    """Squares (n, side, side) of an image, a quarter of their side from one another."""
    step = max(1, side // 4)
    return np.lib.stride_tricks.sliding_window_view(image, (side, side))[::step, ::step].reshape(-1, side, side)


def faces(fold: int, data_dir: str | None = None) -> Data:
    """ORL faces, x (n, 28, 23) float32, each of mean 0 and deviation 1, and y, whose they are.

    Of 40 people ten test, whom the fold (0 to 3) names, the next six validate, and 24 train, numbered from 0.
    """
    parts = data.orl_faces(data_dir)
    x = parts["x"].astype(np.float32).reshape(-1, FACE[0], 4, FACE[1], 4).mean((2, 4))
    x = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    place = (parts["y"] - 10 * fold) % 40
    chosen = (place >= 16, (place >= 10) & (place < 16), place < 10)
    training, validation, test = ({"x": x[rows], "y": place[rows]} for rows in chosen)
    return Data(training | {"y": training["y"] - 16}, validation, test)


def together(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rows of all parts, one behind the other.

    >>> together([{"x": np.array([1])}, {"x": np.array([2, 3])}])["x"].tolist()
    [1, 2, 3]
    """
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _letters(
    part: list[tuple[list[str], list[str]]], letters: str, tags: tuple[str, ...], size: int = 20
) -> dict[str, np.ndarray]:
    """Letters that training has not are the id behind all others."""
    x, y = np.zeros((len(part), size, size), np.int32), np.zeros((len(part), size), np.int32)
    ids = {letter: i for i, letter in enumerate(letters)}
    for i, (words, own) in enumerate(part):
        for j, (word, tag) in enumerate(zip(words, own, strict=True)):
            x[i, j, : len(word)] = [ids.get(letter, len(letters)) for letter in word[:size]]
            y[i, j] = tags.index(tag)
    return {"x": x, "y": y, "length": np.array([len(words) for words, _ in part], np.int32)}


def _three(arrays: dict[str, np.ndarray]) -> Data:
    rest, test = data.split(arrays, 0.2, seed=SPLIT_SEED)
    train, validation = data.split(rest, 0.2, seed=SPLIT_SEED)
    return Data(train, validation, test)


def _standardised(parts: Data) -> Data:
    x, y = data.fit_standard(parts.train["x"]), data.fit_standard(parts.train["y"])
    return Data(*({"x": x.apply(part["x"]), "y": y.apply(part["y"])} for part in parts[:3]), target=y)
