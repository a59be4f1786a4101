"""Checkpoints: what is restored, what donation must not do to it; and the digest."""

import dataclasses
from typing import NamedTuple

import flax.struct
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
from jnn.train._state import step_of
from jnn.train.checkpoint import CorruptCheckpoint, diff, read
from jnn.train.checkpoint._load import read_arrays
from jnn.train.checkpoint._stored import by_path
from tests.train import tiny
from tests.train.dtypes import DTYPES, of_every_bit


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


def test_the_newest_counts_and_old_ones_go(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        tiny.train(steps=40, checkpoints=checkpoints)
        assert int(checkpoints.restore(tiny.state())[0].step) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["30", "40", "lock"]


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


@flax.struct.dataclass
class Anything:
    """Not a `TrainState`: a tree with a step."""

    step: jax.Array
    leaves: dict


def anything():
    leaves = {name: of_every_bit(name) for name in DTYPES}
    keys = {name: jax.random.split(jax.random.key(3, impl=name), 4) for name in ("threefry2x32", "rbg")}
    numpy = {"numpy": np.arange(3, dtype=np.int16), "scalar": np.float32(2.5)}
    empty = {
        "empty": jnp.zeros((0, 3), jnp.bfloat16),
        "none": None,
        "nothing": {},
        "list": [jnp.ones(1), (jnp.ones(2),)],
    }
    return Anything(jnp.int32(5), leaves | keys | numpy | empty | {"name.with/slash": jnp.ones(2)})


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert diff(found, expected) == []


def test_every_kind_of_leaf(tmp_path):
    state = anything()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        assert_equal(checkpoints.restore(state).state, state)
    assert read(tmp_path).state.keys() == by_path("test", state).keys()


def test_64_bits(tmp_path):
    with jax.enable_x64(True), Checkpoints(tmp_path) as checkpoints:
        state = Anything(jnp.int32(0), {"f": jnp.float64(0.1), "i": jnp.int64(2**40), "z": jnp.complex128(0.1 + 2j)})
        checkpoints.save(state, {})
        assert_equal(checkpoints.restore(state).state, state)
    with pytest.raises(ValueError, match=r"leaves/f is float64.*jax_enable_x64"):
        read(tmp_path)


def test_64_bits_that_jax_would_cut_off(tmp_path):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(TypeError, match=r"jax_enable_x64.*leaves/f \(float64\)"):
        checkpoints.save(Anything(jnp.int32(0), {"f": np.zeros(2)}), {})


NO_ARRAYS = [
    (0.5, "float"),
    ("adam", "str"),
    (np.array(["adam"]), "<U4"),
    (np.array([None]), "object"),
    (np.ones(2, ">f4"), ">f4"),
    (np.ones(2, np.longdouble), np.dtype(np.longdouble).name),
    (np.zeros(2, jax.dtypes.float0), r"\[\('float0', 'V'\)\]"),
    (np.zeros(2, "M8[s]"), r"datetime64\[s\]"),
    (np.ma.ones(2, np.float32), "MaskedArray"),
    (optax.adam, "function"),
]


@pytest.mark.parametrize(("leaf", "found"), NO_ARRAYS, ids=[found for _, found in NO_ARRAYS])
def test_a_leaf_that_is_no_array_is_named_before_anything_is_written(tmp_path, leaf, found):
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(TypeError, match=rf"expected arrays of JAX's dtypes, found leaves/f \({found}\)\. Convert"):
            checkpoints.save(Anything(jnp.int32(0), {"f": leaf, "fine": jnp.ones(2)}), {})
        assert held(tmp_path) == []
        checkpoints.save(Anything(jnp.int32(0), {}), {})
        with pytest.raises(TypeError, match=rf"Checkpoints.restore: .* found leaves/f \({found}\)"):
            checkpoints.restore(Anything(jnp.int32(0), {"f": leaf}))


def test_a_state_that_was_donated(tmp_path):
    state = tiny.state()
    jax.tree.map(lambda x: x.delete(), state.params)
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(TypeError, match=r"found none at params/in/b, .*Save the state that it returned"):
            checkpoints.save(state, {})
        checkpoints.save(tiny.state(), {})
        assert_equal(checkpoints.restore(state).state, tiny.state())  # of which nothing is read


def test_two_leaves_of_one_path(tmp_path):
    leaves = {"a/b": jnp.ones(1), "a": {"b": jnp.zeros(1)}}
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(ValueError, match=r"one leaf for each path.*leaves/a/b"):
        checkpoints.save(Anything(jnp.int32(0), leaves), {})


KEYS = [
    ".",
    "..",
    "",
    "/",
    "a b",
    "[0]",
    "*",
    "a\\b",
    "~",
    "%2E",
    "a.b",
    "a%2Eb",
    ".zarray",
    "0.0",
    "é",
    "e\u0301",
    "日本",
]
KEYS += ["a\nb", "\0", "\udcff", "'", '"', "x" * 300, "-x", "ocdbt.process_0"]


def test_every_key_is_a_place_of_its_own(tmp_path):
    leaves = {key: jnp.full(3, i) for i, key in enumerate(KEYS)} | {"a": {"b": jnp.zeros(1)}}
    state = Anything(jnp.int32(0), leaves)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        assert_equal(checkpoints.restore(state).state, state)
    assert read(tmp_path).state.keys() == by_path("test", state).keys()


class Pair(NamedTuple):
    step: jax.Array
    nets: tuple


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Own:
    step: jax.Array
    more: list


def train_state(step):
    return create_state({"w": jnp.arange(3.0) + step}, optax.adam(0.1), ema=True).replace(step=jnp.int32(step))


STATES = {
    "dict": lambda: {"step": jnp.int32(7), "w": jnp.ones(2), "none": None, "empty": {}},
    "tuple": lambda: (train_state(7), {"w": jnp.full(3, 0.5, jnp.bfloat16)}),  # and a residual
    "list in a tuple": lambda: ([{"step": jnp.uint8(7)}, ()], np.arange(2, dtype=np.int16)),
    "namedtuple": lambda: Pair(jnp.int32(7), (jnp.ones(1), [], None)),
    "dataclass": lambda: Own(np.int32(7), [{}, [jnp.ones((2, 0))], ((jax.random.key(1),),)]),
    "flax": lambda: Anything(jnp.int32(7), {"deep": [{"er": (None, {})}]}),
    "of networks": lambda: {"step": jnp.int32(7), "gen": train_state(70), "disc": train_state(35)},
}


@pytest.mark.parametrize("kind", STATES)
def test_any_tree_with_a_step(tmp_path, kind):
    state = STATES[kind]()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        assert checkpoints.steps == [7]
        assert_equal(checkpoints.restore(jax.eval_shape(STATES[kind])).state, state)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"w": jnp.ones(2)}, "a dict without one"),
        ((), "a tuple without one"),
        (jnp.ones(2), "without one"),
        ({"step": jnp.float32(1)}, r"a step that is float32\[\]"),
        ((Anything(jnp.zeros(8, jnp.int32), {}), 0), r"a step that is int32\[8\]"),
        ([{"step": 3}], "a step that is int"),
    ],
)
def test_a_state_without_a_step(tmp_path, state, found):
    with pytest.raises(TypeError, match=rf"expected a state with a step, a scalar integer array .*; found .*{found}\."):
        step_of(state)


def test_a_step_below_0(tmp_path):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(ValueError, match="a step of 0 or more, found -1"):
        checkpoints.save({"step": jnp.int32(-1)}, {})


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


@pytest.mark.parametrize(("shape", "dtype"), [((2, 3), "int32"), ((6,), "float32"), ((3, 3), "float32")], ids=str)
def test_arrays_that_are_not_what_the_manifest_says(tmp_path, shape, dtype):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Anything(jnp.int32(0), {"w": jnp.ones((2, 3))}), {})
    with pytest.raises(
        CorruptCheckpoint, match=r"leaves/w is stored as float32\[2, 3\]|its arrays cannot be read: OUT_OF_RANGE"
    ):
        read_arrays(tmp_path / "0", {"leaves/w": jax.ShapeDtypeStruct(shape, dtype)})


def test_every_path_that_does_not_fit_is_named(tmp_path):
    """A shape, a dtype, a missing and an extra path; nothing is cast, and nothing counts as damage."""
    leaf = lambda *shape, dtype=jnp.float32: jnp.zeros(shape, dtype)
    saved = Anything(jnp.int32(3), {"same": leaf(2), "shape": leaf(2, 3), "dtype": leaf(2), "old": leaf(1)})
    like = Anything(
        jnp.int32(0), {"same": leaf(2), "shape": leaf(3, 2), "dtype": leaf(2, dtype=jnp.bfloat16), "new": leaf(1)}
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(saved, {})
        with pytest.raises(ValueError, match=r"checkpoint 3 in .* does not fit") as caught:
            checkpoints.restore(like)
        assert_equal(checkpoints.restore(saved).state, saved)
    for line in [
        "mistyped: leaves/dtype is float32[2], expected bfloat16[2]",
        "misshapen: leaves/shape is float32[2,3], expected float32[3,2]",
        "extra: leaves/old float32[1]",
        "missing: leaves/new float32[1]",
    ]:
        assert line in str(caught.value)
    assert "same" not in str(caught.value)


def test_a_sharding_that_does_not_divide_is_no_damage(tmp_path):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    state = Anything(jnp.int32(0), {"w": jnp.ones(6)})
    spread = jax.ShapeDtypeStruct((6,), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("x")))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        with pytest.raises(ValueError, match="divi"):
            checkpoints.restore(state.replace(leaves={"w": spread}))


def test_another_optimizer_is_named(tmp_path):
    params = {"w": jnp.ones(3)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(create_state(params, optax.adam(0.1)), {})
        with pytest.raises(ValueError, match=r"missing: opt_state/0/trace/w float32\[3\]\nThe optimizer is") as e:
            checkpoints.restore(create_state(params, optax.sgd(0.1, momentum=0.9)))
        with pytest.raises(ValueError, match=r"(?m)^Build the state"):
            checkpoints.restore(create_state({"v": jnp.ones(3)}, optax.adam(0.1)))
    assert "extra: opt_state/0/mu/w float32[3]" in str(e.value)


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


def test_records_are_of_the_moment_of_the_save(tmp_path):
    history = [{"step": 0, "train/loss": float("inf")}]
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(tiny.state(), {"history": history, "iterator": {"epoch": 2, "seen": [1, 2]}, "none": None})
        history.append({"step": 1})
        records = checkpoints.restore(tiny.state()).records
    assert records == {"history": history[:1], "iterator": {"epoch": 2, "seen": [1, 2]}, "none": None}


@pytest.mark.parametrize("records", [[], {"set": {1}}, {"array": np.zeros(2)}])
def test_records_that_are_no_json(tmp_path, records):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(TypeError, match="records must"):
        checkpoints.save(tiny.state(), records)


def at(step):
    return tiny.state().replace(step=jnp.int32(step))


def test_saving_again_what_is_there_does_nothing(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for _ in range(2):
            checkpoints.save(at(3), {"seed": 1})
        with pytest.raises(ValueError, match=r"expected a step after 3, .* found step 3"):
            checkpoints.save(at(3), {"seed": 2})
        with pytest.raises(ValueError, match=r"expected a step after 3, .* found step 2"):
            checkpoints.save(at(2), {"seed": 1})
        assert checkpoints.restore(at(0)).records == {"seed": 1}


def held(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


@pytest.mark.parametrize(("mode", "kept"), [("min", [2, 4, 6, 7]), ("max", [1, 3, 6, 7])])
def test_the_best_stay_too(tmp_path, mode, kept):
    """Also those that another process saved; without a metric, or with NaN, none is the best."""
    losses = {1: 5.0, 2: 1.0, 3: 4.0, 4: 2.0, 5: float("nan"), 6: None, 7: 3.0}
    for steps in [(1, 2, 3), (4, 5, 6, 7)]:
        with Checkpoints(tmp_path, keep=2, best=("val/loss", mode, 2)) as checkpoints:
            for step in steps:
                loss = losses[step]
                checkpoints.save(at(step), {}, metrics=None if loss is None else {"val/loss": loss, "other": 0})
    assert held(tmp_path) == kept


def test_a_step_by_name(tmp_path):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(at(step), {"at": step})
        assert checkpoints.restore(at(0), step=2).records == {"at": 2}
        with pytest.raises(ValueError, match=r"holds the steps \[1, 2, 3\], not 4"):
            checkpoints.restore(at(0), step=4)
        (tmp_path / "2" / "manifest" / "metadata").unlink()
        with pytest.raises(CorruptCheckpoint, match=r"checkpoint 2 in .*: its manifest is missing"):
            checkpoints.restore(at(0), step=2)
    assert held(tmp_path) == [1, 2, 3]


def test_best_needs_its_metric(tmp_path):
    expected = pytest.raises(ValueError, match=r"best needs 'val/loss', found metrics \['loss'\]")
    with Checkpoints(tmp_path, best=("val/loss", "min", 1)) as checkpoints, expected:
        checkpoints.save(at(1), {}, metrics={"loss": 1.0})


@pytest.mark.parametrize(
    "options", [{"keep": 0}, {"keep": 1.5}, {"keep": "x"}, {"best": ("loss", "min", 0)}, {"best": ("loss", "least", 1)}]
)
def test_options_that_mean_nothing(tmp_path, options):
    with pytest.raises(ValueError, match="Checkpoints: expected keep >= 1 and best="):
        Checkpoints(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seconds", ["x", -1, float("nan"), None], ids=str)
def test_seconds_that_mean_nothing(tmp_path, seconds):
    with pytest.raises(ValueError, match=f"Checkpoints: expected save_seconds of 0 or more seconds, found '?{seconds}"):
        Checkpoints(tmp_path / "new", save_seconds=seconds)
    assert not (tmp_path / "new").exists()


def test_a_restored_state_trains_on(tmp_path):
    state = tiny.state()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
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


def test_a_digest_of_every_kind_of_leaf():
    other = lambda x: jax.random.split(x[0], 4) if str(x.dtype).startswith("key") else x
    assert digest(anything()) == digest(jax.tree.map(jnp.asarray, anything()))
    assert digest(anything()) != digest(jax.tree.map(other, anything()))


def test_a_digest_tells_a_scalar_from_a_vector_of_one():
    assert digest({"a": np.float32(1)}) != digest({"a": np.ones(1, np.float32)})


def test_a_digest_ignores_the_order_of_keys_and_of_memory():
    values = np.arange(6.0).reshape(2, 3)
    assert digest({"a": values, "b": values}) == digest({"b": values.T.copy().T, "a": values})
