"""Checkpoints: what is restored, what donation must not do to it; and the digest."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.data import Batches
from jnn.train import Checkpoints, create_state, digest
from tests.train import tiny


def test_an_empty_folder_holds_nothing(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(tiny.state()) is None


def test_restores_every_leaf_and_the_history(tmp_path):
    state, history = tiny.train(steps=20)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, history)
    with Checkpoints(tmp_path) as checkpoints:
        restored, rows = checkpoints.restore(tiny.state())
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert digest(restored) == digest(state)
    assert rows == history


def test_the_newest_counts_and_old_ones_go(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        tiny.train(steps=40, checkpoints=checkpoints)
        assert int(checkpoints.restore(tiny.state())[0].step) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["30", "40"]


def test_donated_buffers_do_not_corrupt_a_save(tmp_path):
    """The next steps reuse the buffers of a state that is still being written."""
    parameters = {"w": jnp.ones((512, 512))}  # large enough that writing takes longer than a step
    double = jax.jit(lambda s: s.replace(params=jax.tree.map(lambda x: 2 * x, s.params)), donate_argnums=0)
    state = create_state(parameters, optax.sgd(0.1))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, [])
        for _ in range(20):
            state = double(state)
        restored, _ = checkpoints.restore(state)
    np.testing.assert_array_equal(restored.params["w"], 1.0)
    np.testing.assert_array_equal(state.params["w"], 2.0**20)


def test_restores_into_the_shardings_asked_for(tmp_path):
    state = tiny.state()
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    spread = NamedSharding(mesh, PartitionSpec(None, "x"))
    like = state.replace(
        params=state.params | {"in": state.params["in"] | {"w": jax.device_put(state.params["in"]["w"], spread)}}
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, [])
        restored, _ = checkpoints.restore(like)
    assert restored.params["in"]["w"].sharding == spread
    assert digest(restored) == digest(state)


def test_a_state_of_another_model_is_an_error(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(tiny.state(), [])
        with pytest.raises(ValueError, match="w"):
            checkpoints.restore(create_state({"other": {"w": jnp.ones(3)}}, optax.sgd(0.1)))


def test_a_restored_state_trains_on(tmp_path):
    state = tiny.state()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, [])
        restored, _ = checkpoints.restore(state)
    batch = Batches(tiny.arrays(), 8, seed=0)[0]
    assert digest(tiny.step()(restored, batch)[0]) == digest(tiny.step()(state, batch)[0])


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.array([1.0, 3.0], np.float32)},
        {"b": np.array([1.0, 2.0], np.float32)},
        {"a": np.array([1.0, 2.0], np.float64)},
        {"a": np.array([[1.0, 2.0]], np.float32)},
        {"a": np.array([1.0, np.nextafter(np.float32(2), np.float32(3))], np.float32)},
    ],
    ids=["value", "path", "dtype", "shape", "last bit"],
)
def test_a_digest_differs_wherever_a_tree_does(other):
    assert digest({"a": np.array([1.0, 2.0], np.float32)}) != digest(other)


def test_a_digest_tells_a_scalar_from_a_vector_of_one():
    assert digest({"a": np.float32(1)}) != digest({"a": np.ones(1, np.float32)})


def test_a_digest_ignores_the_order_of_keys_and_of_memory():
    values = np.arange(6.0).reshape(2, 3)
    assert digest({"a": values, "b": values}) == digest({"b": values.T.copy().T, "a": values})
