"""Emoji and their names, split so that what tests looks like nothing that trains; and texts as a network reads them.

emoji_pairs(data_dir) -> Pairs              pictures and captions: those that train, validate and test
on_white(x)                                 colours of pictures that have an opacity
letter_ngrams(texts)                        a bag of letter n-grams for each text
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from experiments.datasets import SPLIT_SEED, Data
from experiments.small_images import halve
from jnn import data
from jnn.data import pad, words

SIDE = 32
# code points that join others, or say the sex, the skin, the direction or the style of what stands before them
MARKS = {"200d", "fe0f", "2640", "2642", "27a1", *(f"1f3f{i}" for i in "bcdef")}
PEOPLE = {"1f466", "1f467", "1f468", "1f469", "1f9d1", "1f9d2"}  # boy, girl, man, woman, person, child
SERIES = {"alphanum", "geometric", "heart", "keycap", "time", "zodiac"}  # subcategories that are one drawing, varied
NEAR = 0.1  # root mean square of colours in 0..1, below which two pictures are near-duplicates
LARGEST = 8  # pictures: larger families train
LEFT_OUT = ("Flags", "Component")  # categories
BUCKETS, GRAMS = 4096, 160  # of letter n-grams, and the most of a text


class Pairs(NamedTuple):
    """Pictures and their captions.

    Attributes:
      data: in each part "x" (n, 32, 32, 4) uint8, colours times opacity and opacity, and "row" (n,) of the captions;
        of a family of what validates or tests, one picture.
      captions: of all pictures.
      category: (all,), of each caption.
      categories: their names.
    """

    data: Data
    captions: list[str]
    category: np.ndarray
    categories: list[str]


def emoji_pairs(data_dir: str | None = None) -> Pairs:
    """Emoji with their names, but for flags, whose pictures say no word of their names, and for tones of skin.

    Families stay together: pictures that differ by a person's sex, age, skin or direction alone, by their code points;
    series such as clocks and coloured hearts; and near-duplicates, by how they look. Of families of at most 8 pictures
    some test, a fifth of all, and some validate, a tenth.
    """
    x, records = data.emoji(data_dir)
    kept = [i for i, record in enumerate(records) if record["category"] not in LEFT_OUT]
    records = [records[i] for i in kept]
    x = halve(np.concatenate([x[kept][..., :3] * (x[kept][..., 3:] / 255), x[kept][..., 3:]], -1)).round()
    x = x.astype(np.uint8)
    family = families([base(**record) for record in records], np.asarray(on_white(x)) / 255)
    categories = sorted({record["category"] for record in records})
    place = [categories.index(record["category"]) for record in records]
    parts = ({"x": x[rows], "row": rows} for rows in _split(family))
    return Pairs(Data(*parts), [caption(record) for record in records], np.array(place, np.int32), categories)


def on_white(x: Any) -> Any:
    """Colours (..., 3) in 0..255 of pictures (..., 4), of colours times opacity and opacity, on white."""
    return x[..., :3] + (255 - x[..., 3:])


def caption(record: dict[str, str]) -> str:
    """An emoji's name, and the words of its short name that are not in it.

    >>> caption({"name": "GRINNING FACE", "short_name": "grinning-happy_face"})
    'grinning face, happy'
    """
    name = words(record["name"])
    more = [word for word in words(record["short_name"].replace("_", " ")) if word not in name]
    return " ".join(name) + (", " + " ".join(more) if more else "")


def families(names: Sequence[str], x: np.ndarray) -> np.ndarray:
    """Numbers of families (n,), by their names and by how pictures (n, y, x, c) in 0..1 look at half their size."""
    small = halve(x).reshape(len(x), -1)
    alike = squareform(pdist(small)) < NEAR * small.shape[1] ** 0.5
    named = np.unique(names, return_inverse=True)[1]
    return connected_components(alike | (named[:, None] == named))[1]


def base(image: str, subcategory: str = "", **_: str) -> str:
    """An emoji's series; or of its code points those that are neither marks nor people, and of people alone nothing.

    >>> base("1f468-200d-1f527.png"), base("1f469-1f3fd-200d-1f527.png"), base("1f468.png"), base("1f550.png", "time")
    ('1f527', '1f527', '', 'time')
    """
    codes = [code for code in image.removesuffix(".png").split("-") if code not in MARKS | PEOPLE]
    return subcategory if subcategory in SERIES else "-".join(codes)


def _split(family: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that train, validate and test; of those held out, the first of each family."""
    first, sizes = np.unique(family, return_index=True, return_counts=True)[1:]
    small = np.random.default_rng(SPLIT_SEED).permutation(np.flatnonzero(sizes <= LARGEST))
    n = len(first)
    test, validation = small[: n // 5], small[n // 5 : n // 5 + n // 10]
    train = np.flatnonzero(~np.isin(family, np.concatenate([test, validation])))
    return train, np.sort(first[validation]), np.sort(first[test])


def letter_ngrams(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Bags of words and of their parts of 3 to 5 letters, by hashes: ids "grams" (n, 160) and their number "length".

    See "Enriching Word Vectors with Subword Information", Bojanowski et al., 2017.

    >>> {name: rows.shape for name, rows in letter_ngrams(["a teapot", "a cat"]).items()}
    {'grams': (2, 160), 'length': (2,)}
    """
    bags = [np.array([zlib.crc32(gram.encode()) % BUCKETS for gram in _grams(text)], np.int32) for text in texts]
    ids, lengths = pad(bags, GRAMS)
    return {"grams": ids, "length": lengths}


def _grams(text: str) -> list[str]:
    marked = [f"<{word}>" for word in words(text)]
    parts = [word[i : i + n] for word in marked for n in (3, 4, 5) for i in range(len(word) - n + 1)]
    return list(dict.fromkeys([*marked, *parts]))
