"""Capsules: bit-equal for every dtype, whole or not there, and damage named."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.layers import linear_spec
from jnn.train import create_state, read_capsule
from jnn.train.capsule import write_capsule
from jnn.train.capsule._capsule import norms
from jnn.train.capsule._plain import Pack, unpack
from tests.train.dtypes import DTYPES, of_every_bit

ROOT = Path(__file__).parents[3]


def write(folder, **changes):
    state = create_state(jnn.init(linear_spec(3, 2), jax.random.key(0)), optax.adam(0.1), ema=True)
    settings = {"step": 42, "batch": {"x": np.ones((4, 3))}, "state": state, "message": "the loss is nan"}
    return write_capsule(folder, **settings | changes)


def assert_bit_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        plain = lambda z: jax.random.key_data(z) if jnp.issubdtype(z.dtype, jax.dtypes.prng_key) else z
        assert np.asarray(plain(x)).tobytes() == np.asarray(plain(y)).tobytes()


def test_every_dtype_is_bit_equal(tmp_path):
    batch = {f"{name} {i}": x for name in DTYPES for i, x in enumerate([of_every_bit(name), of_every_bit(name)[0, 0]])}
    batch |= {f"{name} empty": jnp.zeros((0,), name) for name in DTYPES}
    capsule = read_capsule(write(tmp_path, batch=jax.tree.map(np.asarray, batch), state=batch))
    assert_bit_equal(capsule.batch, batch)
    assert_bit_equal(capsule.state, batch)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_every_kind(tmp_path, impl):
    key = jax.random.key(7, impl=impl)
    keys = {"one": key, "several": jax.random.split(key, 3), "raw": jax.random.key_data(key)}
    capsule = read_capsule(write(tmp_path, batch=keys, state={"step": jnp.int32(42), "keys": keys}))
    assert_bit_equal(capsule.batch, keys | {"raw": np.asarray(keys["raw"])})
    assert_bit_equal(capsule.state_as({"step": jnp.int32(0), "keys": keys})["keys"], keys)


def test_everything_comes_back(tmp_path):
    state = create_state(jnn.init(linear_spec(3, 2), jax.random.key(0)), optax.adam(0.1), stats={"m": jnp.ones(2)})
    batch = {"x": [np.ones(2), (np.zeros(1), None)], "nested": {"a/b": np.arange(3)}, "empty": {}}
    capsule = read_capsule(write(tmp_path, state=state, batch=batch, run="cnn"))
    assert (capsule.step, capsule.message, capsule.run) == (42, "the loss is nan", "cnn")
    assert_bit_equal(capsule.batch, batch)
    assert_bit_equal(capsule.state_as(state), state)
    assert_bit_equal(capsule.state_as(jax.eval_shape(lambda: state)), state)


def test_the_table(tmp_path):
    state = create_state({"fc": {"w": jnp.array([3.0, -4.0, jnp.nan])}}, optax.sgd(0.1))
    path = write(tmp_path, state=state)
    assert (path / "norms.txt").read_text().splitlines() == [
        "parameters",
        "fc/w  float32[3]  min -4  max 3  norm 5  bad 1 of 3, first at [2]",
    ]
    assert norms({}) == ""


def test_a_second_capsule_of_a_step_has_a_name_of_its_own(tmp_path):
    assert [write(tmp_path).name for _ in range(3)] == ["step-42", "step-42-2", "step-42-3"]


@pytest.mark.parametrize(
    "changes", [{"batch": {"x": object()}}, {"message": object()}, {"batch": {"x": "text", 1j: 1}}]
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, changes):
    with pytest.raises(TypeError):
        write(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_leaves_nothing(tmp_path):
    code = (
        "import resource, sys; from tests.train.capsule.test_capsule import write;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); write(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False, cwd=ROOT, capture_output=True, text=True)
    assert "OSError" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"params": {"w": jnp.ones((3, 2))}}, r"extra: params/b float32\[2\]"),
        (
            {"params": {"w": jnp.ones((3, 4)), "b": jnp.ones(2)}},
            r"misshapen: params/w is float32\[3,2\], expected float32\[3,4\]",
        ),
        (
            {"params": {"w": jnp.ones((3, 2), jnp.bfloat16), "b": jnp.ones(2)}},
            r"mistyped: params/w is float32\[3,2\], expected bfloat16\[3,2\]",
        ),
    ],
)
def test_the_state_of_another_run_is_refused(tmp_path, change, problem):
    state = create_state(jnn.init(linear_spec(3, 2), jax.random.key(0)), optax.sgd(0.1))
    capsule = read_capsule(write(tmp_path, state=state))
    with pytest.raises(ValueError, match=problem):
        capsule.state_as(state.replace(**change))


def test_damage_is_one_clear_error(tmp_path):
    path = write(tmp_path, batch={"x": np.arange(1000)})
    rng = np.random.default_rng(0)
    whole = {file: (path / file).read_bytes() for file in ["arrays.npz", "capsule.json"]}
    for file, content in whole.items():
        for end in rng.integers(0, len(content), 10):
            (path / file).write_bytes(content[:end])
            with pytest.raises(
                ValueError, match=r"read_capsule: .*step-42 must be a folder of capsule.json and arrays"
            ):
                read_capsule(path)
        (path / file).unlink()
        with pytest.raises(ValueError, match="FileNotFoundError"):
            read_capsule(path)
        (path / file).write_bytes(content)
    assert read_capsule(path).step == 42


def test_a_flipped_byte_of_an_array_is_noticed(tmp_path):
    path = write(tmp_path, batch={"x": np.arange(1000)})
    content = bytearray((path / "arrays.npz").read_bytes())
    content[content.index(np.arange(500, 502).tobytes())] ^= 1
    (path / "arrays.npz").write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        read_capsule(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "TypeError"),
        ('{"version": 99}', "^read_capsule: .* has version 99, and this version of jnn reads"),
        ("{}", "KeyError"),
        ("\xff", "Error"),
    ],
)
def test_json_of_something_else(tmp_path, text, message):
    path = write(tmp_path)
    (path / "capsule.json").write_text(text, "latin-1")
    with pytest.raises(ValueError, match=message):
        read_capsule(path)


def test_nothing_is_unpickled(tmp_path):
    path = write(tmp_path)
    np.savez(path / "arrays.npz", np.array([object()], object))
    record = json.loads((path / "capsule.json").read_text())
    (path / "capsule.json").write_text(json.dumps(record | {"dtypes": {"arr_0": "object"}}))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_capsule(path)


def test_packing_is_a_round_trip():
    tree = {"a": [np.ones(2), None, (np.zeros((2, 0)),)], "b": {3: np.float16(2)}}
    pack = Pack()
    outline = json.loads(json.dumps(pack.tree(tree)))
    assert_bit_equal(unpack(outline, pack.arrays, pack.dtypes), tree)


@pytest.mark.parametrize("where", [".", "capsules", "capsules/step-7"])
def test_where_there_is_no_capsule_those_that_there_are_are_named(tmp_path, where):
    paths = [write(tmp_path / "capsules", batch={}, state={"step": jnp.int32(i)}) for i in range(2)]
    with pytest.raises(ValueError, match=r"read_capsule: .* must be a folder of") as error:
        read_capsule(tmp_path / where)
    assert str(error.value).endswith(f" There are: {paths[0]}, {paths[1]}.")
