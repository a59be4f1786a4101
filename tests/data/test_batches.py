"""Batches and windows as pure functions of the step: the laws, resuming, padding, bad input."""

import re

import numpy as np
import pytest

from jnn.data import Batches, Windows, check_arrays, in_order, windows_in_order

N = 23
ARRAYS = {"x": np.arange(N * 3, dtype=np.float32).reshape(N, 3), "y": np.arange(N) % 5}


def rows(*batches):
    """The row numbers of the examples that count."""
    return [int(x[0] / 3) for batch in batches for x in batch["x"][batch["weight"] > 0]]


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


larger = pytest.mark.filterwarnings("ignore:Batches. batch_size (24|60) is more than the 23 rows")


@larger
@pytest.mark.parametrize("size", [1, 4, 8, 22, 23, 24, 60])
def test_every_epoch_holds_every_row_once_and_in_its_own_order(size):
    batches = Batches(ARRAYS, size, seed=3)
    steps = batches.steps_per_epoch
    assert steps == -(-N // size)
    epochs = [rows(*(batches[e * steps + i] for i in range(steps))) for e in range(3)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@larger
@pytest.mark.parametrize("size", [4, 24])
def test_shapes_never_change_and_filling_rows_are_valid_rows_of_weight_0(size):
    batches = Batches(ARRAYS, size, seed=3)
    for step in range(2 * batches.steps_per_epoch):
        batch = batches[step]
        assert {name: array.shape for name, array in batch.items()} == {"x": (size, 3), "y": (size,), "weight": (size,)}
        assert set(batch["x"][:, 0] / 3) <= set(range(N))
    assert batches[batches.steps_per_epoch - 1]["weight"].sum() == N % size


def test_drop_last_leaves_other_rows_out_in_every_epoch():
    batches = Batches(ARRAYS, 4, seed=3, drop_last=True)
    assert batches.steps_per_epoch == 5
    epochs = [frozenset(rows(*(batches[e * 5 + i] for i in range(5)))) for e in range(3)]
    assert all(len(epoch) == 20 for epoch in epochs)
    assert len(set(epochs)) == 3


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    asked_in_order = [Batches(ARRAYS, 4, seed=1)[step] for step in range(20)]
    fresh = Batches(ARRAYS, 4, seed=1)
    for step in np.random.default_rng(0).permutation(20).tolist():
        assert_same(fresh[step], asked_in_order[step])
    assert rows(Batches(ARRAYS, 4, seed=2)[0]) != rows(asked_in_order[0])


@pytest.mark.parametrize("start", [0, 4, 11])  # 4: the stack straddles two epochs
def test_a_stack_is_its_steps(start):
    batches = Batches(ARRAYS, 4, seed=1)
    stacked = batches.stack(start, 8)
    for i in range(8):
        assert_same({name: array[i] for name, array in stacked.items()}, batches[start + i])


def test_given_weights_are_kept():
    weight = np.arange(N) / N
    for batch in (Batches(ARRAYS | {"weight": weight}, 4, seed=0)[0], in_order(ARRAYS | {"weight": weight}, 4)[2]):
        np.testing.assert_allclose(batch["weight"], batch["x"][:, 0] / 3 / N, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 5, 23, 40])
def test_in_order_is_every_row_once_and_in_order(size):
    batches = in_order(ARRAYS, size)
    assert rows(*batches) == list(range(N))
    assert {batch["x"].shape for batch in batches} == {(size, 3)}


NAN = np.ones((4, 2), np.float32)
NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("arrays", "classes", "message"),
    [
        ({}, None, "one common length of at least 1, found {}"),
        ({"x": np.ones((0, 2))}, None, "one common length of at least 1, found {'x': 0}"),
        ({"x": np.ones(())}, None, "one common length of at least 1, found {'x': None}"),
        ({"x": np.ones(3), "y": np.ones(4)}, None, "found {'x': 3, 'y': 4}"),
        ({"x": NAN}, None, "'x' holds NaN or infinity, first in row 2"),
        ({"x": np.array([-np.inf, 0, 1])}, None, "'x' holds NaN or infinity, first in row 0"),
        ({"x": np.array(["a", "b"])}, None, "'x' must be numeric, found <U1"),
        ({"x": np.ones(3)}, 2, "classes=2 expects integer labels in 'y', found only ['x']"),
        ({"y": np.ones(3)}, 2, "classes=2 expects integer labels in 'y', found float64. Give them, or classes=None."),
        (
            {"y": np.array([0, 1, 2])},
            2,
            "'y' must lie in 0..1 (2 classes), found 2, first in row 2. Give classes=3 or more",
        ),
        (
            {"y": np.array([[0, 1], [1, -1]])},
            2,
            "'y' must lie in 0..1 (2 classes), found -1, first in row 1. Number classes from 0",
        ),
        ({"x": np.ones(3), "weight": np.array([1, -1, 1])}, None, "'weight' must be one number >= 0 per row"),
        ({"x": np.ones(3), "weight": np.ones((3, 2))}, None, "'weight' must be one number >= 0 per row"),
    ],
)
def test_bad_arrays_are_one_clear_error(arrays, classes, message):
    for make in (lambda: Batches(arrays, 2, seed=0, classes=classes), lambda: in_order(arrays, 2, classes=classes)):
        with pytest.raises(ValueError, match=re.escape(message)):
            make()


def test_labels_in_range_pass():
    assert check_arrays("test", {"y": np.array([0, 4])}, classes=5) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Batches(ARRAYS, 0, seed=0), "batch_size must be at least 1 and leave a batch; found 0 for 23 rows"),
        (
            lambda: Batches(ARRAYS, 24, seed=0, drop_last=True),
            "found 24 for 23 rows. Give an integer from 1 to 23.",
        ),
        (lambda: Batches(ARRAYS, 4, seed=0)[-1], "found step -1"),
        (lambda: Batches(ARRAYS, 4, seed=0).stack(0, 0), "k 0"),
        (lambda: in_order(ARRAYS, 0), "batch_size must be at least 1; found 0"),
        (lambda: Windows(np.arange(9), 9, 2, seed=0), "longer than the context of 9 (at least 1), found int64[9]"),
        (lambda: Windows(np.arange(9.0), 3, 2, seed=0), "a sequence of integers"),
        (lambda: Windows(np.arange(9), 3, 0, seed=0), "batch_size must be at least 1; found 0"),
        (lambda: Windows(np.arange(9), 3, 2, seed=0)[-1], "found step -1"),
        (lambda: windows_in_order(np.arange(9), 0), "context of 0"),
    ],
)
def test_bad_sizes_are_one_clear_error(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_windows_are_next_token_pairs_and_functions_of_the_step():
    tokens = np.random.default_rng(0).integers(0, 1000, 50)
    source = Windows(tokens, 7, 5, seed=2)
    stacked = source.stack(3, 4)
    for i in range(4):
        assert_same({name: array[i] for name, array in stacked.items()}, Windows(tokens, 7, 5, seed=2)[3 + i])
    np.testing.assert_array_equal(stacked["x"][..., 1:], stacked["y"][..., :-1])
    assert not np.array_equal(source[0]["x"], source[1]["x"])


def test_windows_start_at_every_place_including_the_last():
    source = Windows(np.arange(10), 7, 100, seed=0)
    assert set(source[0]["x"][:, 0].tolist()) == {0, 1, 2}
    assert source[0]["y"].max() == 9


@pytest.mark.parametrize("n", [8, 9, 10, 15])
def test_windows_in_order_predict_every_token_once(n):
    both = windows_in_order(np.arange(n), 3)
    assert both["y"].ravel().tolist() == list(range(1, both["y"].size + 1))
    assert n - 1 - both["y"].size < 3
    np.testing.assert_array_equal(both["y"], both["x"] + 1)
