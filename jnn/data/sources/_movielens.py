"""MovieLens 100K: ratings of films by people of whom something is known, in GroupLens's three tables without headings.

    u.data   user, film, rating, seconds since 1970      tabs between
    u.user   number, age, sex, occupation, postal code   bars between
    u.item   number, title, date, two empty fields, and a 0 or 1 for each of 19 genres

Law: any bytes give either the tables that they encode or a ValueError that names the file and the line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnn.data.sources._columns import Column, parse, to_array
from jnn.data.sources._root import PathLike, find

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
FLAG = ("0", "1")
RATINGS: dict[str, Column] = {"user": int, "film": int, "rating": int, "time": int}
USERS: dict[str, Column] = {"number": int, "age": int, "sex": ("F", "M"), "occupation": str, "postal_code": str}
FILMS: dict[str, Column] = {"number": int, "title": str, "date": str, "video_date": str, "url": str}


class MovieLens(NamedTuple):
    """Ratings, the users who gave them, and the films that they are of: arrays by name, one row each."""

    ratings: dict[str, np.ndarray]
    users: dict[str, np.ndarray]
    films: dict[str, np.ndarray]


def movielens100k(data_dir: PathLike | None = None) -> MovieLens:
    """MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, who have an age, a sex and an occupation.

    See "The MovieLens Datasets: History and Context", Harper and Konstan, 2015, whose terms hold.

    Args:
      data_dir: as for `data_root`; the files are `movielens100k/u.data`, `u.user` and `u.item`.

    Returns:
      ratings: "user" and "film" (n,), numbered from 0, "rating" (n,), 1 to 5, and "time" (n,), seconds since 1970, all
      int32, in the file's order. users: "age" and "sex" (0: F, 1: M), int32, and "occupation", strings. films: "title",
      strings, and "genres" (films, 19), uint8 of 0 and 1, in the order of `movielens_genres()`.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file, or ratings of users or films that the other files have not.
    """
    paths = {
        kind: find(data_dir, f"movielens100k/u.{kind}", how="put the ratings of MovieLens 100K there")
        for kind in ("data", "user", "item")
    }
    ratings = _table(paths["data"], RATINGS, "\t")
    users = _numbered(paths["user"], USERS)
    films = _numbered(paths["item"], FILMS | dict.fromkeys(GENRES, FLAG))
    for name, rows in (("user", users), ("film", films)):
        ratings[name] = ratings[name] - 1
        _check("u.data", f"{name}s", ratings[name] + 1, len(rows["number"]))
    _check("u.data", "ratings", ratings["rating"], 5)
    genres = np.stack([films[genre] for genre in GENRES], 1).astype(np.uint8)
    return MovieLens(
        ratings,
        {name: users[name] for name in ("age", "sex", "occupation")},
        {"title": films["title"], "genres": genres},
    )


def movielens_genres() -> tuple[str, ...]:
    """The 19 genres of MovieLens's films, in the order of its columns.

    >>> movielens_genres()[1:4]
    ('Action', 'Adventure', 'Animation')
    """
    return GENRES


def _table(path: Path, columns: dict[str, Column], delimiter: str) -> dict[str, np.ndarray]:
    """The columns of a table in Latin-1 that has no line of names."""
    values: dict[str, list[Any]] = {name: [] for name in columns}
    for number, line in enumerate(path.read_bytes().decode("latin-1").split("\n")[:-1], 1):
        where, fields = f"{path.name}: line {number}", line.removesuffix("\r").split(delimiter)
        if len(fields) != len(columns):
            raise ValueError(f"{where}: expected {len(columns)} fields, found {len(fields)}.")
        for (name, column), field in zip(columns.items(), fields, strict=True):
            try:
                values[name].append(parse(field, column))
            except ValueError as error:
                raise ValueError(f"{where}: column {name!r}: {error}.") from None
    if not values[next(iter(columns))]:
        raise ValueError(f"{path.name}: expected rows that end in a line feed, found none.")
    return {name: to_array(values[name], column) for name, column in columns.items()}


def _numbered(path: Path, columns: dict[str, Column]) -> dict[str, np.ndarray]:
    """A table whose rows are numbered from 1."""
    table = _table(path, columns, "|")
    if (wrong := np.flatnonzero(table["number"] != np.arange(1, len(table["number"]) + 1))).size:
        line = int(wrong[0]) + 1
        raise ValueError(f"{path.name}: line {line}: expected the number {line}, found {table['number'][wrong[0]]}.")
    return table


def _check(file: str, what: str, values: np.ndarray, most: int) -> None:
    """Raises unless all are from 1 to `most`."""
    if (wrong := np.flatnonzero((values < 1) | (values > most))).size:
        line = int(wrong[0]) + 1
        raise ValueError(f"{file}: line {line}: expected {what} from 1 to {most}, found {values[wrong[0]]}.")
