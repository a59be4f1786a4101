"""MovieLens 100K: its three tables, what is refused of them, and the real files."""

import numpy as np
import pytest

from jnn.data import movielens100k, movielens_genres
from tests.needed_data import needs

TABLES = {
    "data": ["1\t2\t5\t881250949", "2\t1\t3\t881250950", "1\t1\t1\t0"],
    "user": ["1|24|M|technician|85711", "2|53|F|other|T8H1N"],
    "item": ["1|Été (1995)|1995|||" + "|".join("0" * 18 + "1"), "2|unknown||||" + "|".join("1" + "0" * 18)],
}


def folder(root, **changed):
    """A data directory with these tables, some of them changed."""
    (root / "movielens100k").mkdir()
    for name, lines in (TABLES | changed).items():
        (root / "movielens100k" / f"u.{name}").write_bytes("".join(f"{line}\n" for line in lines).encode("latin-1"))
    return root


def test_three_tables(tmp_path):
    found = movielens100k(folder(tmp_path))
    assert {name: column.tolist() for name, column in found.ratings.items()} == {
        "user": [0, 1, 0],
        "film": [1, 0, 0],
        "rating": [5, 3, 1],
        "time": [881250949, 881250950, 0],
    }
    assert found.users["sex"].tolist() == [1, 0]
    assert found.users["occupation"].tolist() == ["technician", "other"]
    assert found.films["title"].tolist() == ["Été (1995)", "unknown"]
    assert [movielens_genres()[row.argmax()] for row in found.films["genres"]] == ["Western", "unknown"]


@pytest.mark.parametrize(
    ("table", "lines", "message"),
    [
        ("data", ["1\t2\t5"], "u.data: line 1: expected 4 fields, found 3"),
        ("data", ["1\t2\t5\t1", "1\t2\tx\t1"], "u.data: line 2: column 'rating': expected int, found 'x'"),
        ("data", ["1\t3\t5\t1"], "u.data: line 1: expected films from 1 to 2, found 3"),
        ("data", ["0\t2\t5\t1"], "u.data: line 1: expected users from 1 to 2, found 0"),
        ("data", ["1\t2\t6\t1"], "u.data: line 1: expected ratings from 1 to 5, found 6"),
        ("data", [], "u.data: expected rows"),
        ("user", ["2|24|M|technician|85711"], "u.user: line 1: expected the number 1, found 2"),
        ("user", ["1|24|X|technician|85711"], "u.user: line 1: column 'sex': expected one of 'F', 'M', found 'X'"),
        ("item", ["1|Film||||" + "|".join("2" * 19)], "u.item: line 1: column 'unknown': expected one of '0', '1'"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path, table, lines, message):
    with pytest.raises(ValueError, match=message):
        movielens100k(folder(tmp_path, **{table: lines}))


def test_the_real_files():
    needs("movielens100k")
    ratings, users, films = movielens100k()
    assert (len(ratings["user"]), len(users["age"]), len(films["title"])) == (100_000, 943, 1682)
    assert np.bincount(ratings["rating"]).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert np.bincount(ratings["user"]).min() == 20
    assert films["title"][49] == "Star Wars (1977)"
