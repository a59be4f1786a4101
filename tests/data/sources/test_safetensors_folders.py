"""Folders of safetensors: written and read again, by the original package too; what lacks something; nothing half."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.data import read_safetensors, write_safetensors
from tests.data.sources.lazy import Counted
from tests.data.sources.writers import safetensors
from tests.param.specs import KEY, mesh_of

RNG = np.random.default_rng(0)
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64"]
ARRAYS = {name: RNG.integers(0, 2, (3, i)).astype(jnp.dtype(name)) for i, name in enumerate(DTYPES)} | {
    "one": np.float32(7),
    "big-endian": np.arange(3, dtype=">i4"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}


def same(found, arrays):
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize(("most", "files"), [(5 * 10**9, 1), (100, 7), (1, 14)])
def test_what_is_written_is_read(tmp_path, most, files):
    path = write_safetensors(tmp_path / "model.safetensors", ARRAYS, max_shard_bytes=most)
    same(read_safetensors(path), ARRAYS)
    same(read_safetensors(tmp_path), ARRAYS)
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) == files
    assert len([*tmp_path.iterdir()]) == files + (files > 1)
    package = pytest.importorskip("safetensors")
    for shard in shards:
        with package.safe_open(shard, "np") as file:
            assert file.metadata() == {"format": "pt"}
        held = read_safetensors(shard)
        assert len(held) == 1 or sum(x.nbytes for x in held.values()) <= most
        assert int.from_bytes(shard.read_bytes()[:8], "little") % 8 == 0
    if files > 1:
        index = json.loads(path.read_text())
        assert index["metadata"] == {"total_size": sum(x.nbytes for x in ARRAYS.values())}
        assert shards[0].name == f"model-00001-of-{files:05}.safetensors"


def test_the_original_package_reads_them(tmp_path):
    package = pytest.importorskip("safetensors.torch")
    write_safetensors(tmp_path / "a.safetensors", ARRAYS)
    found = package.load_file(tmp_path / "a.safetensors")
    assert str(found["bfloat16"].dtype) == "torch.bfloat16"
    assert found.keys() == ARRAYS.keys()
    for name in ARRAYS.keys() - {"bfloat16"}:
        np.testing.assert_array_equal(found[name].numpy(), ARRAYS[name])


def test_params_that_are_sharded_go_and_come_back(tmp_path):
    spec = {"fc": jnn.layers.linear_spec(8, 4)}
    params = jnn.init(spec, KEY, mesh=mesh_of(x=8), rules={"embed": "x"})
    back = jnn.load(spec, read_safetensors(write_safetensors(tmp_path / "p.safetensors", jnn.flatten(params))))
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_one_array_at_a_time_is_on_the_host(tmp_path):
    counted = Counted()
    arrays = {f"w{i}": np.full((4, 4), i, np.float32) for i in range(5)}
    path = write_safetensors(
        tmp_path / "a.safetensors", {n: counted.of(x) for n, x in arrays.items()}, max_shard_bytes=99
    )
    assert (counted.most, counted.made) == (64, 5)
    same(read_safetensors(path), arrays)


class Broken:
    shape, dtype = (2,), np.dtype(np.float32)

    def __array__(self, dtype=None, copy=None):
        raise OSError("the disk is gone")


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"w": np.ones(2)})
    for most in (1000, 20):
        with pytest.raises(OSError, match="the disk is gone"):
            write_safetensors(path if most > 20 else tmp_path / "b.safetensors", {"v": np.ones(2), "w": Broken()},
                              max_shard_bytes=most)  # fmt: skip
    same(read_safetensors(tmp_path), {"w": np.ones(2)})
    assert not [*tmp_path.glob("*.part"), *tmp_path.glob("*.json")]
    write_safetensors(path, {"w": np.zeros(3)})
    same(read_safetensors(tmp_path), {"w": np.zeros(3)})


def test_files_and_an_index_do_not_stand_side_by_side(tmp_path):
    two, path = {"v": np.ones(2), "w": np.ones(2)}, tmp_path / "model.safetensors"
    write_safetensors(path, two)
    with pytest.raises(FileExistsError, match=r"model\.safetensors: is there already\. Remove it"):
        write_safetensors(path, two, max_shard_bytes=1)
    path.unlink()
    write_safetensors(path, two, max_shard_bytes=1)
    for most in (1, 1000):
        with pytest.raises(FileExistsError, match=r"model\.safetensors\.index\.json: is there already"):
            write_safetensors(path, two, max_shard_bytes=most)
    path.write_bytes(safetensors(two))
    with pytest.raises(ValueError, match=r"expected model\.safetensors or .*, found both: give the path"):
        read_safetensors(tmp_path)


@pytest.mark.parametrize("x", [np.ones(1, np.complex128), np.array(["a"]), {"w": 1}, jnp.ones(2, jnp.int4)])
def test_what_the_format_has_not_is_named(tmp_path, x):
    with pytest.raises(ValueError, match=r"^a\.safetensors: expected dtypes among BOOL, U8, .*, found x/y "):
        write_safetensors(tmp_path / "a.safetensors", {"x/y": x, "z": np.ones(1)})
    assert not [*tmp_path.iterdir()]


def test_a_folder_in_the_place_of_a_file_and_params_that_are_nested_say_what_to_give(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is a folder. Give the path of a file in it: .*model\.safetensors\.$"):
        write_safetensors(tmp_path, {"w": np.ones(1)})
    with pytest.raises(ValueError, match=r"found fc object\. Of nested params: jnn\.flatten\(params\)\.$"):
        write_safetensors(tmp_path / "a.safetensors", {"fc": {"w": np.ones(1)}})
    assert not [*tmp_path.iterdir()]


def test_the_name_of_remarks_is_taken(tmp_path):
    with pytest.raises(ValueError, match=r"^a\.safetensors: '__metadata__' is no array's name"):
        write_safetensors(tmp_path / "a.safetensors", {"__metadata__": np.ones(1)})


INDEX = "model.safetensors.index.json"
mapped = lambda **weights: json.dumps({"weight_map": weights}).encode()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"", r"not an index in JSON"),
        (b"\xff", r"not an index in JSON"),
        (b"[" * 100_000, r"not an index in JSON"),
        (b"[]", r"expected a weight_map from arrays to files, found '\[\]'"),
        (b'{"weight_map": {"v": "a", "v": "a"}}', r"not an index in JSON \(it holds a name twice\)"),
        (b'{"weight_map": {}}', r"expected a weight_map"),
        (mapped(v=1), r"'v': expected a file of this folder, found '1'"),
        (mapped(v="../a"), r"'v': expected a file of this folder, found '\.\./a'"),
        (mapped(v=".."), r"'v': expected a file of this folder"),
        (mapped(v="a\0"), r"'v': expected a file of this folder"),
        (mapped(v="a", w="b", x="c"), r"2 of its 3 files are not beside it: b, c\."),
        (mapped(v=300 * "a"), r"1 of its 1 files are not beside it: a{60}\."),
        (mapped(v="a", w="a", y="a"), r"1 of its arrays are not in a: 'y'\."),
        (mapped(v="a"), r"does not name 1 arrays of a: 'w'\."),
    ],
)
def test_an_index_that_lies_is_one_clear_error(tmp_path, index, message):
    (tmp_path / "a").write_bytes(safetensors({"v": np.ones(2), "w": np.ones(2)}))
    (tmp_path / INDEX).write_bytes(index)
    for path in (tmp_path, tmp_path / INDEX):
        with pytest.raises(ValueError, match=rf"^model\.safetensors\.index\.json: .*{message}"):
            read_safetensors(path)


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "a").write_bytes(safetensors({"v": np.ones(2)})[:-1])
    (tmp_path / INDEX).write_bytes(mapped(v="a"))
    with pytest.raises(ValueError, match=r"^a: its arrays end at 16 of the data, the file at 15"):
        read_safetensors(tmp_path)


def test_an_empty_folder_is_one_clear_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"expected model\.safetensors or model\.safetensors\.index\.json in this folder"
    ):
        read_safetensors(tmp_path)
