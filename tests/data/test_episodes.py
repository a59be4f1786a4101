"""Episodes as pure functions of the step: what they hold, resuming, micro-batches of whole ones, bad input."""

import re

import numpy as np
import pytest

from jnn.data import Episodes

ROWS = {"x": np.arange(46, dtype=np.float32).reshape(46, 1), "y": np.arange(46) % 6 * 10}
SIZES = {"ways": 4, "shots": 2, "queries": 3}


def episodes(batch_size=5, seed=1, arrays=ROWS, **changes):
    return Episodes(arrays, batch_size, seed=seed, **SIZES | changes)


def test_an_episode_holds_different_classes_and_different_examples_of_each():
    for step in range(20):
        batch = episodes()[step]
        assert {name: array.shape for name, array in batch.items()} == {
            "support": (5, 4, 2, 1),
            "query": (5, 4, 3, 1),
            "y": (5, 4),
            "weight": (5,),
        }
        rows = np.concatenate([batch["support"], batch["query"]], axis=2)[..., 0].astype(int)
        assert (ROWS["y"][rows] == batch["y"][..., None]).all()
        assert all(len(set(own)) == 4 for own in batch["y"].tolist())
        assert all(len(set(own.ravel())) == 4 * 5 for own in rows)


def test_every_class_and_example_is_drawn_about_as_often():
    support = np.concatenate([episodes(64)[step]["support"].ravel() for step in range(20)]).astype(int)
    counts = np.bincount(support, minlength=46)
    expected = 64 * 20 * 4 * 2 / 6 / np.bincount(ROWS["y"] // 10)[ROWS["y"] // 10]
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    whole, fresh = episodes(), episodes()
    asked_in_order = [whole[step] for step in range(6)]
    for step in (5, 2, 0):
        assert_same(fresh[step], asked_in_order[step])
    assert not np.array_equal(episodes(seed=2)[0]["support"], asked_in_order[0]["support"])
    stacked = fresh.stack(2, 3)
    for i in range(3):
        assert_same({name: array[i] for name, array in stacked.items()}, asked_in_order[2 + i])


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_without_queries_there_are_none():
    batch = episodes(queries=0)[0]
    assert sorted(batch) == ["support", "weight", "y"]
    assert batch["y"].dtype == np.int32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ways": 7},
            "5 examples of each (shots + queries), found 6 classes and 7 examples of class 40. Give ways=6 or less.",
        ),
        (
            {"queries": 6},
            "7 examples of class 40. Give shots and queries that are 7 together or less, or leave smaller classes out.",
        ),
        ({"shots": 0}, "expected shots to be an integer, 1 or more, found 0"),
        ({"queries": -1}, "expected queries to be an integer, 1 or more, found -1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "expected a seed"),
        (
            {"arrays": {"x": ROWS["x"]}},
            "expected x (n, ...) and y (n,), integers, alone; found {'x': 'float32[46, 1]'}",
        ),
        ({"arrays": ROWS | {"y": ROWS["x"][:, 0]}}, "expected x (n, ...) and y (n,), integers, alone"),
        ({"arrays": ROWS | {"y": ROWS["y"] + 2**40}}, "beyond the int32 that JAX makes of int64"),
    ],
)
def test_bad_input_is_one_clear_error(changes, message):
    with pytest.raises(ValueError, match=rf"Episodes: .*{re.escape(message)}"):
        episodes(**changes)
