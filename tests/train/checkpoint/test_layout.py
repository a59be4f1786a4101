"""Reading without a state, differences of checkpoints, and old layouts."""

import re
import shutil

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jnn.train.checkpoint import (
    Checkpoints,
    CorruptCheckpoint,
    diff,
    read,
    relayout,
    rename,
    stack,
    table,
    unstack,
)
from jnn.train.checkpoint.__main__ import main
from tests.train.checkpoint.faults import filled, records, state


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("two"))


def arrays_of(tree):
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in jax.tree.leaves_with_path(tree)}


@pytest.mark.parametrize(("place", "step"), [("", 20), ("10", 10), ("20", 20)])
def test_reads_by_path(folder, place, step):
    saved = read(folder / place)
    expected = arrays_of(state(step))
    assert set(saved.state) == set(expected)
    for path, x in expected.items():
        assert saved.state[path].dtype == x.dtype
        np.testing.assert_array_equal(saved.state[path], x)
    assert saved.records == records(step)


def test_reads_while_a_run_has_the_folder(folder):
    with Checkpoints(folder):
        assert read(folder).records == records(20)


@pytest.mark.parametrize("place", ["missing", "empty"])
def test_nothing_to_read(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"read: .*{place}"):
        read(tmp_path / place)


def test_reading_a_damaged_one(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "20" / "state")
    with pytest.raises(CorruptCheckpoint, match=r"checkpoint .*20: its arrays cannot be read"):
        read(tmp_path / "run")
    assert read(tmp_path / "run" / "10").records == records(10)


def test_no_difference():
    keys = jax.random.split(jax.random.key(0), 3)
    tree = {"a": jnp.array([jnp.nan, -0.0]), "k": keys, "e": jnp.zeros((0, 2)), "n": np.arange(3)}
    assert diff(tree, dict(tree)) == []


def test_differences_by_path():
    a = {
        "both": np.float32([3, 4]),
        "gone": np.zeros(2),
        "shape": np.zeros((2, 3)),
        "dtype": np.float32([1, 2]),
        "zero": np.float32([0.0]),
        "bool": np.array([True, False]),
        "bfloat16": np.ones(4, ml_dtypes.bfloat16),
        "complex": np.complex64([3j]),
        "key": jax.random.key(0),
    }
    b = {
        "both": np.float32([3, 14]),
        "new": np.zeros(3, np.int8),
        "shape": np.zeros((3, 2)),
        "dtype": np.array([1, 2], ml_dtypes.bfloat16),
        "zero": np.float32([-0.0]),
        "bool": np.array([True, True]),
        "bfloat16": np.full(4, 2, ml_dtypes.bfloat16),
        "complex": np.complex64([4.0]),
        "key": jax.random.key(1),
    }
    found = {d.path: (d.a, d.b, d.norm, d.relative) for d in diff(a, b)}
    assert found == {
        "bfloat16": ("bfloat16[4]", "bfloat16[4]", 2.0, 1.0),
        "bool": ("bool[2]", "bool[2]", 1.0, 1.0),
        "both": ("float32[2]", "float32[2]", 10.0, 2.0),
        "complex": ("complex64[1]", "complex64[1]", 5.0, 5 / 3),
        "dtype": ("float32[2]", "bfloat16[2]", 0.0, 0.0),
        "gone": ("float64[2]", None, None, None),
        "key": ("key<fry>[]", "key<fry>[]", None, None),
        "new": (None, "int8[3]", None, None),
        "shape": ("float64[2,3]", "float64[3,2]", None, None),
        "zero": ("float32[1]", "float32[1]", 0.0, 0.0),
    }


def test_relative_to_nothing():
    (found,) = diff({"a": np.zeros(2)}, {"a": np.ones(2)})
    assert found.relative == float("inf")


def test_the_table_has_a_line_for_each_difference():
    lines = table(diff({"a": np.zeros(2), "b": np.ones(2)}, {"a": np.ones(2)})).splitlines()
    assert [line.split()[0] for line in lines] == ["path", "a", "b"]
    assert lines[2].split() == ["b", "float64[2]", "-"]


def test_the_command_line(folder, capsys, tmp_path):
    assert main([str(folder / "10"), str(folder / "10")]) == 0
    assert capsys.readouterr().out == "bit-equal\n"
    assert main([str(folder / "10"), str(folder)]) == 1
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert rows == ["path", "params/a/w", "params/b", "step"]
    assert main([str(folder), str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err


def old_layout():
    rng = np.random.default_rng(0)
    one = lambda *shape: rng.normal(size=shape).astype(np.float32)
    layers = {f"old/layer_{i}/{name}": one(*shape) for i in range(12) for name, shape in [("w", (3, 2)), ("b", (2,))]}
    return layers | {"old/head/w": one(4, 2), "step": np.int32(7)}


NEW = [
    stack("old/layer_{i}/*", "old/layers/*"),
    rename("old/*", "params/*"),
    unstack("params/head/w", "params/heads/{i}/w"),
    rename("params/layers/*", "params/blocks/*"),
]


BACK = [
    rename("params/blocks/*", "params/layers/*"),
    stack("params/heads/{i}/w", "params/head/w"),
    rename("params/*", "old/*"),
    unstack("old/layers/*", "old/layer_{i}/*"),
]


def test_an_old_layout():
    old = old_layout()
    new = relayout(old, NEW)
    assert sorted(new) == ["params/blocks/b", "params/blocks/w", *[f"params/heads/{i}/w" for i in range(4)], "step"]
    for i in range(12):  # numbers in order, not names: 10 comes after 9
        np.testing.assert_array_equal(new["params/blocks/w"][i], old[f"old/layer_{i}/w"])
    np.testing.assert_array_equal(new["params/heads/3/w"], old["old/head/w"][3])


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_there_and_back(kind):
    old = {path: kind(x) for path, x in old_layout().items()}
    assert diff(old, relayout(relayout(old, NEW), BACK)) == []


def test_several_stars():
    found = relayout({"a/1/b/2": np.zeros(1)}, [rename("a/*/b/*", "*-*")])
    assert list(found) == ["1-2"]


def test_the_arrays_given_are_left_alone():
    arrays = {"a": np.zeros(1)}
    relayout(arrays, [rename("a", "b")])
    assert list(arrays) == ["a"]


def test_every_misfit_at_once():
    arrays = {
        "layer_0/w": np.zeros(2),
        "layer_2/w": np.zeros(2),
        "cell_0": np.zeros(2),
        "cell_1": np.zeros(3),
        "step": np.int32(1),
        "x": np.zeros(1),
        "y": np.ones(1),
    }
    rules = [
        stack("layer_{i}/w", "layers/w"),
        stack("cell_{i}", "cells"),
        unstack("step", "step_{i}"),
        rename("nowhere/*", "somewhere/*"),
        rename("x", "y"),
    ]
    with pytest.raises(ValueError, match="relayout: these rules do not fit") as caught:
        relayout(arrays, rules)
    for line in [
        "layers/w needs the indices 0, 1, ..., found [0, 2]",
        "cells needs equal shapes and dtypes, found float64[2], float64[3]",
        "step has no axis to unstack",
        'rename("nowhere/*", "somewhere/*"): no path matches',
        'rename("x", "y"): y is there already',
    ]:
        assert line in str(caught.value)


def test_several_to_one_place():
    arrays = {"ab/c": np.zeros(1), "a/bc": np.zeros(1)}
    with pytest.raises(ValueError, match="abc is where several would go"):
        relayout(arrays, [rename("*/*", "**")])


@pytest.mark.parametrize(
    "make",
    [
        lambda: rename("a/*", "b"),
        lambda: rename("a_{i}", "b_{i}"),
        lambda: stack("a", "b"),
        lambda: stack("a_{i}", "b_{i}"),
        lambda: unstack("a", "b"),
        lambda: unstack("a_{i}/*", "b_{i}/*"),
        lambda: stack("a_{i}_{i}", "b"),
    ],
)
def test_patterns_that_mean_nothing(make):
    with pytest.raises(ValueError, match=re.escape("expected as many * in both patterns")):
        make()
