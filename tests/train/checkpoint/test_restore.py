"""What is restored is what was saved: onto any devices, from large arrays too, as one's own to donate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tensorstore
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jnn
from jnn.data import Batches
from jnn.train import Checkpoints, create_state, digest
from jnn.train.checkpoint import read
from tests.train import tiny
from tests.train.checkpoint.trees import Anything, assert_equal


def test_an_empty_folder_holds_nothing(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(tiny.state()) is None


def test_restores_every_leaf_and_the_history(tmp_path):
    state, history = tiny.train(steps=20)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {"history": history})
    with Checkpoints(tmp_path) as checkpoints:
        restored, records = checkpoints.restore(tiny.state())
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert digest(restored) == digest(state)
    assert records == {"history": history}


def test_donated_buffers_do_not_corrupt_a_save(tmp_path):
    """The next steps reuse the buffers of a state that is still being written."""
    parameters = {"w": jnp.ones((512, 512))}  # large enough that writing takes longer than a step
    double = jax.jit(lambda s: s.replace(params=jax.tree.map(lambda x: 2 * x, s.params)), donate_argnums=0)
    state = create_state(parameters, optax.sgd(0.1))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
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
        checkpoints.save(state, {})
        restored, _ = checkpoints.restore(like)
    assert restored.params["in"]["w"].sharding == spread
    assert digest(restored) == digest(state)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_restores_what_one_mesh_saved_onto_another(tmp_path, kind):
    """Of `like` only shapes, dtypes and shardings are needed: nothing is initialised first."""
    values = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    saved_on, wanted_on = (jax.make_mesh(s, ("a", "b"), axis_types=(kind, kind)) for s in [(8, 1), (2, 4)])
    put = lambda mesh, spec: NamedSharding(mesh, PartitionSpec(*spec))
    state = create_state({"w": jax.device_put(values, put(saved_on, ("a", None)))}, optax.sgd(0.1))
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=put(wanted_on, ())), state)
    across = put(wanted_on, ("b", "a"))
    like = like.replace(params={"w": jax.ShapeDtypeStruct((16, 8), jnp.float32, sharding=across)})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        restored, _ = checkpoints.restore(like)
    assert restored.params["w"].sharding == across
    np.testing.assert_array_equal(restored.params["w"], values)


def test_what_nobody_put_anywhere_stays_free(tmp_path):
    """A step on a mesh takes it; of what was put on one device it would say that devices differ."""
    free, put = {"step": jnp.int32(0), "w": jnp.ones((1100, 300))}, jax.device_put(jnp.ones(3), jax.devices()[1])
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    batch = jax.device_put(jnp.ones((8, 300)), NamedSharding(mesh, PartitionSpec("x")))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(free | {"put": put}, {})
        restored = checkpoints.restore(free | {"put": put}).state
    assert {name: x.committed for name, x in restored.items()} == {"step": False, "w": False, "put": True}
    assert restored["put"].sharding == put.sharding
    assert jax.jit(lambda w, x: x @ w.T)(restored["w"], batch).sharding.device_set == set(mesh.devices.flat)


@pytest.mark.parametrize(("shape", "stored"), [((1031, 1031), (1056, 1056)), ((1001, 1040), (1001, 1040))], ids=str)
def test_a_large_array_is_stored_in_chunks_whatever_its_shape(tmp_path, shape, stored):
    """An axis of prime length would be cut into single elements: it is rounded up on the disk."""
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    state = Anything(jnp.int32(0), {"w": jnp.asarray(values)})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        assert_equal(checkpoints.restore(state).state, state)
    store = {"driver": "ocdbt", "base": f"file://{tmp_path}/0/state/", "path": "leaves.w/"}
    array = tensorstore.open({"driver": "zarr", "kvstore": store}, open=True).result()
    assert array.shape == stored
    chunk = array.chunk_layout.read_chunk.shape
    assert 2**17 <= 4 * chunk[0] * chunk[1] <= 2**20
    assert_equal(read(tmp_path).state["leaves/w"], jnp.asarray(values))


@pytest.mark.parametrize("spec", [(None, None), ("x", None), (None, "x"), ("x", "y"), (("y", "x"), None)], ids=str)
def test_large_arrays_between_meshes(tmp_path, spec):
    """Pieces of many chunks, that begin and end within them; with a mesh set for all of the program."""
    values = np.random.default_rng(0).normal(size=(1200, 1000)).astype(np.float32)
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(AxisType.Explicit,) * 2)
    like = jax.ShapeDtypeStruct(values.shape, values.dtype, sharding=NamedSharding(mesh, PartitionSpec(*spec)))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Anything(jnp.int32(0), {"w": jnp.asarray(values)}), {})
        checkpoints.wait()
        with jax.set_mesh(mesh), Checkpoints(tmp_path / "again") as others:
            restored = checkpoints.restore(Anything(jnp.int32(0), {"w": like})).state.leaves["w"]
            others.save(Anything(jnp.int32(0), {"w": restored}), {})
    assert restored.sharding == like.sharding
    np.testing.assert_array_equal(restored, values)


def test_what_was_restored_may_be_donated(tmp_path):
    """The buffer is the device's own: a step writes into it instead of needing another one."""
    state = Anything(jnp.int32(0), {"large": jnp.ones((2048, 1024))})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        restored = checkpoints.restore(state).state.leaves["large"]
    place = restored.unsafe_buffer_pointer()
    assert jax.jit(lambda x: 2 * x, donate_argnums=0)(restored).unsafe_buffer_pointer() == place


def test_what_is_below_a_path(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(tiny.state(), {"seed": 1})
    assert_equal(jnn.load(tiny.SPEC, read(tmp_path, below="params").state), tiny.state().params)
    assert read(tmp_path, below="params/in").state.keys() == tiny.state().params["in"].keys()
    for path in ("param", "params/", "step", "no"):
        with pytest.raises(
            ValueError,
            match=rf"found '{path}'; the checkpoint holds \['ema', 'loss_scale', 'opt_state', 'params', 'step'\]",
        ):
            read(tmp_path, below=path)


def test_a_restored_state_trains_on(tmp_path):
    state = tiny.state()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        restored, _ = checkpoints.restore(state)
    batch = Batches(tiny.arrays(), 8, seed=0)[0]
    assert digest(tiny.step()(restored, batch)[0]) == digest(tiny.step()(state, batch)[0])
