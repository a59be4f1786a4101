"""MovieLens 100K as two tasks: what a rating will be, and what is watched next.

rated(data_dir) -> Rated              ratings with the part that each plays in five folds
watched(data_dir, context) -> Watched films in the order of their ratings; of each user the last tests
user_features(movies), film_features(movies) -> Features       what is known of either
nearest(vectors, titles, asked, among)                         films that are near to some
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.datasets import SPLIT_SEED
from jnn.data import MovieLens, movielens100k

FOLDS = 5
AGES = (18, 25, 35, 45, 50, 56)  # the least of each group behind the first, as GroupLens has them
GENRES = 6  # of one film at most


class Features(NamedTuple):
    """Of each row which features it has, (rows, n), how much of each, and how many there are in all."""

    ids: np.ndarray
    values: np.ndarray
    count: int


class Rated(NamedTuple):
    """Parts {"user", "film", "y", "counts" (n, folds)}: in which folds a rating trains, validates or tests."""

    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    movies: MovieLens


class Watched(NamedTuple):
    """Users' films in the order of their ratings, without the last two, of which one validates and one tests.

    train: each film y (n,) but a user's first, with the "user" and up to `context` films before it, the oldest first:
      "history" (n, context), filled up by 0 behind "length" (n,).
    sequences: the same as windows x (n, context) of which y is one film later, and "length"; they overlap by half.
    validation, test: a row a user as in train, and what this user has "seen" (n, films), 0 or 1.
    """

    train: dict[str, np.ndarray]
    sequences: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    movies: MovieLens


def user_features(movies: MovieLens) -> Features:
    """Who it is, and the group of age, the sex and the occupation."""
    users, kinds = len(movies.users["age"]), sorted(set(movies.users["occupation"]))
    columns = {
        users: np.arange(users),
        len(AGES) + 1: np.digitize(movies.users["age"], AGES),
        2: movies.users["sex"],
        len(kinds): np.array([kinds.index(kind) for kind in movies.users["occupation"]]),
    }
    starts = np.cumsum([0, *columns])
    ids = np.stack([start + column for start, column in zip(starts, columns.values(), strict=False)], 1)
    return Features(ids.astype(np.int32), np.ones(ids.shape, np.float32), int(starts[-1]))


def film_features(movies: MovieLens) -> Features:
    """Which film it is, and its genres, which share a length of 1."""
    films, genres = movies.films["genres"].shape
    ids, values = np.zeros((films, 1 + GENRES), np.int32), np.zeros((films, 1 + GENRES), np.float32)
    ids[:, 0], values[:, 0] = np.arange(films), 1
    for film, row in enumerate(movies.films["genres"]):
        own = np.flatnonzero(row)[:GENRES]
        ids[film, 1 : 1 + len(own)] = films + own
        values[film, 1 : 1 + len(own)] = max(1, len(own)) ** -0.5
    return Features(ids, values, films + genres)


def rated(data_dir: str | None = None) -> Rated:
    """Ratings, dealt into five folds by chance: each tests once, and of the others a twentieth validates."""
    movies = movielens100k(data_dir)
    ratings, rng = movies.ratings, np.random.default_rng(SPLIT_SEED)
    n, folds = len(ratings["user"]), np.arange(FOLDS)
    fold, twentieth = (rng.permutation(n)[:, None] % parts for parts in (FOLDS, 20))
    tests, validates = fold == folds, (fold != folds) & (twentieth == folds)
    whole = {name: ratings[name] for name in ("user", "film")} | {"y": ratings["rating"].astype(np.float32)}

    def part(counts: np.ndarray) -> dict[str, np.ndarray]:
        rows = counts.any(1)
        return {name: column[rows] for name, column in (whole | {"counts": counts.astype(np.float32)}).items()}

    return Rated(*map(part, (~tests & ~validates, validates, tests)), movies)


def watched(data_dir: str | None = None, context: int = 50) -> Watched:
    """Films in the order in which each user rated them; of equal times the first in the file is the first."""
    movies = movielens100k(data_dir)
    ratings = movies.ratings
    order = np.lexsort((np.arange(len(ratings["time"])), ratings["time"], ratings["user"]))
    counts = np.bincount(ratings["user"], minlength=len(movies.users["age"]))
    users = np.split(ratings["film"][order], np.cumsum(counts)[:-1])
    train = [(user, films[:end]) for user, films in enumerate(users) for end in range(2, len(films) - 1)]
    windows = [films[max(0, end - context - 1) : end] for films in users for end in _ends(len(films) - 2, context)]
    x, length = _filled([films[:-1] for films in windows], context)
    return Watched(
        _before(train, context),
        {"x": x, "y": _filled([films[1:] for films in windows], context)[0], "length": length},
        *(_held(users, last, context, len(movies.films["title"])) for last in (2, 1)),
        movies,
    )


def _ends(films: int, context: int) -> range:
    """Where windows of so many films and the next end, from the last one back."""
    return range(films, 1, -max(1, context // 2))


def _held(users: Sequence[np.ndarray], last: int, context: int, films: int) -> dict[str, np.ndarray]:
    """What was watched so many films before the end, and what before that."""
    seen = np.zeros((len(users), films), np.uint8)
    for row, own in zip(seen, users, strict=True):
        row[own[:-last]] = 1
    rows = [(user, own[: len(own) - last + 1]) for user, own in enumerate(users)]
    return _before(rows, context) | {"seen": seen}


def _before(rows: Sequence[tuple[int, np.ndarray]], context: int) -> dict[str, np.ndarray]:
    """Of users and their films the last one, and what is before it."""
    history, length = _filled([films[:-1] for _, films in rows], context)
    user, y = (np.array(column, np.int32) for column in zip(*((user, films[-1]) for user, films in rows), strict=True))
    return {"user": user, "history": history, "length": length, "y": y}


def _filled(rows: Sequence[np.ndarray], context: int) -> tuple[np.ndarray, np.ndarray]:
    """The last `context` of each, filled up by 0 behind them, and how many they are."""
    filled, length = np.zeros((len(rows), context), np.int32), np.zeros(len(rows), np.int32)
    for i, row in enumerate(rows):
        length[i] = len(row[-context:])
        filled[i, : length[i]] = row[-context:]
    return filled, length


def nearest(vectors: np.ndarray, movies: MovieLens, asked: int = 6, found: int = 6, least: int = 50) -> dict[str, list]:
    """Of the films that were rated most often those whose vectors (films, d) have the greatest cosines with theirs.

    Returns:
      Title -> titles and cosines, of films that were rated `least` times, the nearest first.
    """
    counts, titles = np.bincount(movies.ratings["film"], minlength=len(vectors)), movies.films["title"]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = np.where(counts >= least, unit @ unit.T, -np.inf)
    lists = {}
    for film in np.argsort(-counts, kind="stable")[:asked]:
        near = [other for other in np.argsort(-cosines[film], kind="stable") if other != film][:found]
        lists[titles[film]] = [(titles[other], float(cosines[film, other])) for other in near]
    return lists
