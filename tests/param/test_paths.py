"""Paths name the leaves of a tree, each its own, and its key of its own."""

import zlib

import jax
import numpy as np
import pytest

import jnn
from jnn import Param
from jnn.initializers import normal
from tests.param.specs import KEY


def test_path_key_folds_name_by_name_and_tells_names_apart():
    keys = [jnn.path_key(KEY, path) for path in ("", "a", "b", "a/b", "b/a", "ab", "w", "w1")]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)
    assert keys[0] == KEY


def test_names_with_one_crc_32_draw_other_values():
    a, b = "plumless", "buckeroo"
    assert zlib.crc32(a.encode()) == zlib.crc32(b.encode())
    params = jnn.init({name: Param((4,), normal(), ("embed",)) for name in (a, b)}, KEY)
    assert not np.isin(params[a], params[b]).any()


@pytest.mark.parametrize(
    "tree", [{"a/b": 1, "a": {"b": 2}}, {"": {"b": 1}, "b": 2}, {"a": [1, 2], "a/1": 3}], ids=["slash", "empty", "list"]
)
def test_two_leaves_of_one_path_are_an_error(tree):
    with pytest.raises(ValueError, match=r"Two leaves of the tree have the path '(a/b|b|a/1)': rename one"):
        jnn.flatten(tree)
    with pytest.raises(ValueError, match="Two leaves"):
        jnn.init(jax.tree.map(lambda _: Param((2,), normal(), ("embed",)), tree), KEY)


def test_flatten_and_map_paths_name_every_leaf():
    tree = {"a": {"b": 1, "c": [2, 3]}, "d": 4}
    assert jnn.flatten(tree) == {"a/b": 1, "a/c/0": 2, "a/c/1": 3, "d": 4}
    assert jnn.map_paths(lambda path, x, y: (path, x + y), tree, tree)["a"]["c"] == [("a/c/0", 4), ("a/c/1", 6)]
