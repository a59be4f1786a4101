"""read_safetensors: what was written, the original package as an oracle, headers that lie, real weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.data import data_root, read_safetensors
from tests.data.sources.writers import NAMES, safetensors


def write(tmp_path, data):
    (tmp_path / "a.safetensors").write_bytes(data)
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("dtype", NAMES)
def test_arrays_are_what_was_written(tmp_path, dtype):
    rng = np.random.default_rng(0)
    shapes = {"odd": (3,), "none": (0, 4), "one": (), "cube": (2, 3, 4)}
    arrays = {name: rng.integers(0, 2, shape).astype(dtype) for name, shape in shapes.items()}
    # one byte first, so that what follows is not where its dtype would like it
    found = read_safetensors(write(tmp_path, safetensors({"byte": np.ones(1, np.uint8)} | arrays)))
    for name, array in arrays.items():
        assert (found[name].dtype, type(found[name])) == (array.dtype, np.ndarray)
        np.testing.assert_array_equal(found[name], array)
        assert not found[name].flags.writeable


def test_the_narrow_floats_are_jaxs(tmp_path):
    for name, dtype in [("BF16", jnp.bfloat16), ("F8_E4M3", jnp.float8_e4m3fn), ("F8_E5M2", jnp.float8_e5m2)]:
        array = np.arange(4).astype(dtype)
        entry = {"dtype": name, "shape": [4], "data_offsets": [0, array.nbytes]}
        found = read_safetensors(write(tmp_path, safetensors({"x": array.view(np.uint8)}, x=entry)))["x"]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.astype(np.float32), np.arange(4))


def test_a_file_by_the_original_package(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(3, dtype=np.int16), "b": np.ones((2, 2), np.float32), "c": np.zeros((0,), np.float64)}
    package.save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "np"})
    found = read_safetensors(tmp_path / "a.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_load_takes_them(tmp_path):
    spec = {"fc": jnn.layers.linear_spec(3, 2)}
    arrays = {"fc/w": np.ones((3, 2), np.float32), "fc/b": np.zeros(2, np.float32)}
    params = jnn.load(spec, read_safetensors(write(tmp_path, safetensors(arrays))))
    assert jax.tree.map(jnp.shape, params) == {"fc": {"w": (3, 2), "b": (2,)}}


X = np.arange(4, dtype=np.float32)
HUGE = {"dtype": "F32", "shape": [2**40], "data_offsets": [16, 16 + 2**42]}
APART = {"dtype": "U8", "shape": [8], "data_offsets": [8, 16]}


def text(header, data=b""):
    return len(header).to_bytes(8, "little") + header + data


def entry(**changes):
    return safetensors({"x": X}, x={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | changes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.safetensors: offset 0: a header of 0 bytes does not fit into a file of 0"),
        (b"\xff" * 8 + b"{}", r"offset 0: a header of 18446744073709551615 bytes does not fit into a file of 10"),
        (text(b"{"), r"offset 0: a header of 1 bytes does not fit"),
        (text(b"{ "), r"offset 8: not a header in JSON"),
        (text(b'"\xff"'), r"offset 8: not a header in JSON"),
        (text(b"[" * 100_000), r"offset 8: not a header in JSON"),
        (text(b"[]"), r"offset 8: expected an object in JSON, found b'\[\]'"),
        (text(b'{"a": 1, "a": 1}'), r"offset 8: not a header in JSON \(it holds a name twice\)"),
        (text(b'{"a": 1}'), r"'a': expected dtype, shape and data_offsets; found 1"),
        (entry(dtype="F33"), r"'x': expected a dtype among BOOL, U8, "),
        (entry(dtype=["F32"]), r"'x': expected a dtype among BOOL, U8, "),
        (entry(extra=1), r"'x': expected dtype, shape and data_offsets"),
        (entry(shape=[-4]), r"'x': expected lists of integers"),
        (entry(shape=[4.0]), r"'x': expected lists of integers"),
        (entry(shape=[True, 4]), r"'x': expected lists of integers"),
        (entry(shape="4"), r"'x': expected lists of integers"),
        (entry(shape=[5]), r"'x': expected offsets as far apart as the shape and the dtype need"),
        (entry(data_offsets=[16, 0]), r"'x': expected offsets as far apart"),
        (entry(data_offsets=[0, 8, 16]), r"'x': expected offsets as far apart"),
        (entry(data_offsets=[0, 16], shape=[4] + 40 * [1]), r"'x': expected a shape that an array can have"),
        (entry(data_offsets=[0, 0], shape=[0, 2**62]), r"'x': expected a shape that an array can have"),
        (entry(data_offsets=[4, 20]), r"'x' begins at 4 of the data, the one before it ends at 0"),
        (safetensors({"x": X}, y=HUGE), r"its arrays end at 4398046511120 of the data, the file at 16"),
        (safetensors({"x": X}, y=APART), r"'y' begins at 8 of the data, the one before it ends at 16"),
        (safetensors({"x": X})[:-1], r"its arrays end at 16 of the data, the file at 15"),
        (safetensors({"x": X}) + b"?", r"its arrays end at 16 of the data, the file at 17"),
        (entry(dtype="BOOL", shape=[16]), r"'x': a boolean is neither 0 nor 1"),
    ],
)
def test_a_header_that_lies_is_one_clear_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        read_safetensors(write(tmp_path, data))


def test_the_real_weights_of_minilm():
    path = data_root() / "weights" / "minilm" / "model.safetensors"
    if not path.is_file():
        pytest.skip(f"weights/minilm/model.safetensors is not in {data_root()}; set JNN_DATA to where it is.")
    arrays = read_safetensors(path)
    assert arrays["embeddings.word_embeddings.weight"].shape == (30522, 384)
    package = pytest.importorskip("safetensors.numpy")
    for name, array in package.load_file(path).items():
        np.testing.assert_array_equal(arrays[name], array)
