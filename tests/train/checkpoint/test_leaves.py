"""What can be saved: any tree with a step, leaves of every dtype under any name; and what is refused."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.train import Checkpoints, create_state
from jnn.train._state import step_of
from jnn.train.checkpoint import read
from jnn.train.checkpoint._stored import by_path
from tests.train import tiny
from tests.train.checkpoint.trees import Anything, anything, assert_equal, held


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
