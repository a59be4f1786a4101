"""prefetch: the same batches, on the device, a bounded number ahead; exceptions come through."""

import threading

import jax
import numpy as np
import pytest

from jnn.data import Batches, prefetch


def test_same_batches_in_the_same_order_on_the_device():
    source = Batches({"x": np.arange(10.0, dtype=np.float32)}, 3, seed=0)
    for step, batch in enumerate(prefetch(source[s] for s in range(8))):
        assert isinstance(batch["x"], jax.Array)
        np.testing.assert_array_equal(batch["x"], source[step]["x"])
    assert step == 7


def test_batches_go_where_the_sharding_says():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    (batch,) = prefetch([{"x": np.zeros((16, 2), np.float32)}], sharding=sharding)
    assert batch["x"].sharding == sharding


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_batches_wait(depth):
    made = []

    def source():
        for i in range(10):
            made.append(i)
            yield {"x": np.full(2, i)}

    for used, _ in enumerate(prefetch(source(), depth=depth), 1):
        assert len(made) <= used + depth


def test_an_exception_comes_where_its_batch_would_have():
    def source():
        yield {"x": np.zeros(1)}
        yield {"x": np.ones(1)}
        raise RuntimeError("row 7 is damaged")

    batches = prefetch(source())
    assert [next(batches)["x"].item(), next(batches)["x"].item()] == [0, 1]
    with pytest.raises(RuntimeError, match="row 7 is damaged"):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


def test_closing_ends_the_thread():
    batches = prefetch({"x": np.zeros(1)} for _ in iter(int, 1))
    next(batches)
    assert any(thread.name.startswith("prefetch") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_an_empty_source_gives_nothing():
    assert list(prefetch([])) == []


def test_bad_depth_is_one_clear_error():
    with pytest.raises(ValueError, match="prefetch: expected depth to be an integer, 1 or more, found 0"):
        prefetch([], depth=0)


@pytest.mark.parametrize("batches", [{"x": 1}, 3])
def test_what_is_no_iterable_of_batches_is_one_clear_error(batches):
    with pytest.raises(TypeError, match=r"prefetch: expected an iterable of batches, found (dict|int)\. Several"):
        prefetch(batches)
