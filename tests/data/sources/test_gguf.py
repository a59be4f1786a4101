"""read_gguf: what was written, blocks bit by bit, ggml's own package as an oracle, headers that lie, real weights."""

import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.data import Quantized, data_root, read_gguf
from tests.data.sources.gguf_files import NAMES, SIZES, numbers
from tests.data.sources.writers import gguf, gguf_list, gguf_text

PLAIN = {0: "f4", 1: "f2", 24: "i1", 25: "i2", 26: "i4", 27: "i8", 28: "f8", 30: jnp.bfloat16}
pack = struct.pack
blocks = pytest.mark.parametrize("kind", SIZES, ids=NAMES.get)


def write(tmp_path, data):
    (tmp_path / "a.gguf").write_bytes(data)
    return tmp_path / "a.gguf"


def random_blocks(kind, n):
    """Blocks of any bits, whose scales are finite."""
    rng = np.random.default_rng(kind)
    content = rng.integers(0, 256, (n, SIZES[kind][1]), np.uint8)
    scales = rng.normal(size=(n, 2)).astype("<f2").view(np.uint8)
    if kind == 14:
        content[:, 208:] = scales[:, :2]
    else:
        width = 4 if kind in (3, 7, 12, 13) else 2
        content[:, :width] = scales[:, :width]
    return content.tobytes()


@pytest.mark.parametrize("kind", PLAIN)
def test_arrays_are_what_was_written(tmp_path, kind):
    rng = np.random.default_rng(0)
    shapes = {"odd": (3,), "none": (0, 4), "one": (), "cube": (2, 3, 4), "last": (5,)}
    arrays = {name: rng.integers(-9, 9, shape).astype(PLAIN[kind]) for name, shape in shapes.items()}
    data = gguf([(name, x.shape, kind, x.tobytes()) for name, x in arrays.items()])
    for padding in (b"", bytes(-len(data) % 32)):
        metadata, found = read_gguf(write(tmp_path, data + padding))
        assert (metadata, list(found)) == ({}, list(arrays))
        for name, array in arrays.items():
            assert (found[name].dtype, type(found[name])) == (array.dtype, np.ndarray)
            np.testing.assert_array_equal(found[name], array)
            assert not found[name].flags.writeable


def test_metadata_are_pythons_values(tmp_path):
    whole = [(0, "B", 255), (1, "b", -128), (2, "H", 65535), (3, "h", -2), (4, "I", 2**32 - 1), (5, "i", -3)]
    whole += [(10, "Q", 2**64 - 1), (11, "q", -(2**63)), (6, "f", 0.5), (12, "d", 1 / 3), (7, "?", True)]
    entries = [(f"k{kind}", kind, pack(f"<{code}", value)) for kind, code, value in whole]
    lists = [(f"l{kind}", 9, gguf_list(kind, 3 * [pack(f"<{code}", value)])) for kind, code, value in whole]
    inner = gguf_list(8, [gguf_text("é"), gguf_text("")])
    texts = [("text", 8, gguf_text("naïve")), ("nested", 9, gguf_list(9, [inner, gguf_list(5, [])]))]
    metadata, arrays = read_gguf(write(tmp_path, gguf([], entries + lists + texts, version=2)))
    expected = {f"k{kind}": value for kind, _, value in whole} | {f"l{kind}": 3 * [value] for kind, _, value in whole}
    assert metadata == expected | {"text": "naïve", "nested": [["é", ""], []]}
    assert [type(metadata[f"k{kind}"]) for kind, _, _ in whole] == [type(value) for _, _, value in whole]
    assert arrays == {}


def test_the_alignment_is_the_files_own(tmp_path):
    metadata = [("general.alignment", 4, pack("<I", 8))]
    arrays = [("a", (3,), 24, bytes([1, 2, 3])), ("b", (1,), 0, pack("<f", 2.5))]
    _, found = read_gguf(write(tmp_path, gguf(arrays, metadata, alignment=8)))
    assert [x.tolist() for x in found.values()] == [[1, 2, 3], [2.5]]


@blocks
def test_blocks_are_what_their_bits_say(tmp_path, kind):
    content, size = random_blocks(kind, 6), SIZES[kind][0]
    x = read_gguf(write(tmp_path, gguf([("x", (2, 3 * size), kind, content)])))[1]["x"]
    assert (type(x), x.type, x.shape, x.dtype) == (Quantized, NAMES[kind], (2, 3 * size), np.float32)
    exact = np.array(numbers(kind, content)).reshape(x.shape)
    np.testing.assert_allclose(np.asarray(x), exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max())
    np.testing.assert_array_equal(np.asarray(x, np.float64), np.asarray(x))
    assert np.asarray(x) is not np.asarray(x)
    assert repr(x) == f"Quantized({NAMES[kind]}, (2, {3 * size}))"
    with pytest.raises(ValueError, match=r"Quantized.* is made anew when it is read: np\.asarray\(x\)"):
        np.array(x, copy=False)


def test_many_blocks_are_made_a_few_at_a_time(tmp_path):
    content = random_blocks(8, 3)
    rows = 2**14
    x = read_gguf(write(tmp_path, gguf([("x", (rows, 96), 8, rows * content)])))[1]["x"]
    np.testing.assert_array_equal(np.asarray(x), np.broadcast_to(np.float32(numbers(8, content)), (rows, 96)))


def test_no_blocks_are_an_empty_array(tmp_path):
    found = read_gguf(write(tmp_path, gguf([("x", (0, 32), 8, b""), ("y", (4, 0), 12, b"")])))[1]
    assert {name: np.asarray(x).shape for name, x in found.items()} == {"x": (0, 32), "y": (4, 0)}


def test_infinite_scales_are_no_error(tmp_path):
    content = pack("<e", np.inf) + bytes([0, 1, 255, *29 * [0]])
    x = np.asarray(read_gguf(write(tmp_path, gguf([("x", (32,), 8, content)])))[1]["x"])
    assert [x[1], x[2]] == [np.inf, -np.inf]
    assert np.isnan(x[0])


def test_load_takes_them(tmp_path):
    content = random_blocks(2, 2)
    arrays = [("fc/w", (2, 32), 2, content), ("fc/b", (32,), 0, bytes(128))]
    spec = {"fc": jnn.layers.linear_spec(2, 32)}
    params = jnn.load(spec, read_gguf(write(tmp_path, gguf(arrays)))[1])
    assert jax.tree.map(jnp.shape, params) == {"fc": {"w": (2, 32), "b": (32,)}}
    np.testing.assert_array_equal(params["fc"]["w"].ravel(), np.float32(numbers(2, content)))


X = ("x", (4,), 0, bytes(16))
KEY = ("k", 0, b"\1")
text = lambda length: ("k", 8, pack("<Q", length))
shaped = lambda *shape, kind=0: gguf([("x", shape, kind, bytes(16))])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a.gguf: offset 0: expected b'GGUF', found b''"),
        (gguf([X], magic=b"GGML"), r"offset 0: expected b'GGUF', found b'GGML'"),
        (b"GGUF\3", r"offset 4: expected 4 bytes and more, the file ends at 5"),
        (gguf([X], version=1), r"offset 8: expected version 2 or 3, found 1\."),
        (gguf([X], version=3 << 24), r"found 50331648\. It is of a machine of the other byte order\."),
        (gguf([X], counts=(2**63, 0)), r"offset 24: expected \d{21} bytes and more, the file ends at 80"),
        (gguf([X], counts=(1, 2**62)), r"offset 24: expected \d{20} bytes and more, the file ends at 80"),
        (gguf([X])[:40], r"offset 24: expected 24 bytes and more, the file ends at 40"),
        (gguf([X])[:50], r"offset 49: expected 8 bytes and more, the file ends at 50"),
        (gguf([X], [KEY, KEY]), r"the key 'k' is there twice"),
        (gguf([X], [("k", 13, b"")]), r"expected a type of metadata from 0 to 12, found 13"),
        (gguf([X], [("k", 7, b"\2")]), r"a boolean is neither 0 nor 1"),
        (gguf([X], [text(2**63)]), r"expected 9223372036854775808 bytes and more, the file ends at"),
        (gguf([X], [(b"\xff", 0, b"\1")]), r"offset 24: a text that is not UTF-8"),
        (gguf([X], [("k", 9, pack("<IQ", 4, 2**62))]), r"expected 18446744073709551616 bytes and more"),
        (gguf([X], [("k", 9, pack("<IQ", 8, 2**60))]), r"expected 9223372036854775808 bytes and more"),
        (gguf([X], [("k", 9, 10_000 * pack("<IQ", 9, 1))]), r"expected at most 16 lists within lists"),
        (gguf([X], [("general.alignment", 4, pack("<I", 0))]), r"general.alignment: expected a power of 2, found 0"),
        (gguf([X], [("general.alignment", 8, gguf_text("8"))]), r"general.alignment: expected a power of 2, found 8"),
        (shaped(*33 * [1]), r"'x': expected at most 32 axes, found 33"),
        (shaped(0, 2**62), r"'x': expected a shape that an array can have, found \(0, 4611686018427387904\)"),
        (shaped(2**40), r"its arrays end at 4398046511104 of the data, the file at 16"),
        (shaped(4, kind=10), r"'x': expected a type among float32, .*, Q6_K, found number 10 of ggml's"),
        (shaped(4, kind=2), r"'x': expected a last axis of whole blocks of 32 for Q4_0, found \(4,\)"),
        (shaped(kind=2), r"'x': expected a last axis of whole blocks of 32 for Q4_0, found \(\)"),
        (gguf([X, X]), r"a.gguf: holds two arrays of the same name"),
        (gguf([(*X, 32)]), r"'x' begins at 32 of the data, the one before it ends at 0; the alignment is 32"),
        (gguf([(*X, 2**63)]), r"'x' begins at 9223372036854775808 of the data"),
        (gguf([X, ("y", *X[1:], 16)]), r"'y' begins at 16 of the data, the one before it ends at 16; the alignment"),
        (gguf([X, ("y", *X[1:], 0)]), r"'y' begins at 0 of the data, the one before it ends at 16"),
        (gguf([X])[:-1], r"its arrays end at 16 of the data, the file at 15"),
        (gguf([X]) + bytes(32), r"its arrays end at 16 of the data, the file at 48"),
    ],
)
def test_a_header_that_lies_is_one_clear_error(tmp_path, data, message):
    with pytest.raises(ValueError, match=rf"^a\.gguf: .*{message.removeprefix('a.gguf: ')}"):
        read_gguf(write(tmp_path, data))


@blocks
@pytest.mark.slow
def test_blocks_are_ggmls(tmp_path, kind):
    """Bit by bit what ggml's package makes of them: of random ones, and of those that it writes of normal numbers."""
    package = pytest.importorskip("gguf")
    ggml = package.GGMLQuantizationType(kind)
    contents = [np.frombuffer(random_blocks(kind, 640), np.uint8).reshape(8, -1)]
    if kind < 12:  # the others it only reads
        normal = np.random.default_rng(0).normal(size=(8, 2560)).astype(np.float32)
        contents.append(package.quants.quantize(normal, ggml))
    for content in contents:
        writer = package.GGUFWriter(tmp_path / "a.gguf", "llama")
        writer.add_array("tokens", ["a", "b"])
        writer.add_tensor("x", content, raw_dtype=ggml)
        for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            step()
        writer.close()
        metadata, arrays = read_gguf(tmp_path / "a.gguf")
        assert metadata == {"general.architecture": "llama", "tokens": ["a", "b"]}
        np.testing.assert_array_equal(arrays["x"], package.quants.dequantize(content, ggml))


@pytest.fixture(scope="module")
def smollm():
    path = data_root() / "weights" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.is_file():
        pytest.skip(f"weights/smollm2/{path.name} is not in {data_root()}; set JNN_DATA to where it is.")
    return path


def test_the_real_weights_of_smollm(smollm):
    metadata, arrays = read_gguf(smollm)
    assert (metadata["general.architecture"], metadata["llama.block_count"]) == ("llama", 30)
    assert len(metadata["tokenizer.ggml.tokens"]) == 49152
    assert sum(np.prod(x.shape) for x in arrays.values()) == 134_515_008
    assert arrays["token_embd.weight"].shape == (49152, 576)
    assert arrays["blk.29.attn_k.weight"].shape == (192, 576)
    up = np.asarray(arrays["blk.0.ffn_up.weight"])
    assert up.shape == (1536, 576)
    assert 0.05 < up.std() < 0.5
    assert abs(up.mean()) < 0.01


@pytest.mark.slow
def test_the_real_weights_are_ggmls(smollm):
    package = pytest.importorskip("gguf")
    metadata, arrays = read_gguf(smollm)
    reader = package.GGUFReader(smollm)
    own = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"}  # of the header
    assert metadata == {key: field.contents() for key, field in reader.fields.items() if key not in own}
    assert list(arrays) == [tensor.name for tensor in reader.tensors]
    for tensor in reader.tensors:
        expected = package.quants.dequantize(tensor.data, tensor.tensor_type)
        assert arrays[tensor.name].shape == tuple(int(n) for n in reversed(tensor.shape))
        np.testing.assert_array_equal(arrays[tensor.name], expected, err_msg=tensor.name)
