"""Checksums: against a version in plain Python, every bit of every element, exchanged elements, meshes."""

import itertools
import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.train.checkpoint import checksum, checksums

NARROW = [
    *(np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.complex64),
    *(np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32),
]
WIDE = [np.float64, np.int64, np.uint64, np.complex128]
M32 = 2**32 - 1


def name(dtype):
    return np.dtype(dtype).name


def mix(x):
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & M32
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & M32
    return x ^ (x >> 16)


def in_python(array):
    """The checksum of an array whose elements have at most 64 bits, one element after another."""
    lanes = [0, 0]
    for place, element in enumerate(array.reshape(-1)):
        bits = int.from_bytes(element.tobytes(), "little")
        low, high = bits & M32, bits >> 32
        low = mix(low ^ mix((place + 0x9E3779B9) & M32))
        high = mix(high ^ low)
        low = mix(low ^ high)
        lanes = [lanes[0] + low, lanes[1] + high]
    return tuple(lane & M32 for lane in lanes)


def noise(rng, dtype, shape):
    """Random bits: NaNs with payloads, denormals and negative zeros among them."""
    return np.frombuffer(rng.bytes(math.prod(shape) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def lanes_of(x):
    return tuple(int(lane) for lane in checksum(x))


def many(stack):
    """The checksums along the leading axis."""
    return list(zip(*(np.asarray(lane).tolist() for lane in jax.jit(jax.vmap(checksum))(stack)), strict=True))


@pytest.mark.parametrize("dtype", NARROW, ids=name)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (3, 1, 4)], ids=str)
def test_equals_plain_python(dtype, shape):
    array = noise(np.random.default_rng(len(shape)), dtype, shape)
    assert lanes_of(jnp.asarray(array)) == in_python(array)


@pytest.mark.parametrize("dtype", WIDE[:3], ids=name)
def test_equals_plain_python_with_64_bits(dtype):
    array = noise(np.random.default_rng(0), dtype, (2, 3))
    with jax.enable_x64(True):
        assert lanes_of(jnp.asarray(array)) == in_python(array)


@pytest.mark.parametrize("dtype", NARROW + WIDE, ids=name)
def test_every_bit_of_every_element_changes_it(dtype):
    array = noise(np.random.default_rng(1), dtype, (2, 3))
    flipped = np.stack([np.frombuffer(array.tobytes(), np.uint8)] * (array.nbytes * 8))
    for bit, row in enumerate(flipped):
        row[bit // 8] ^= 1 << bit % 8
    with jax.enable_x64(np.dtype(dtype) in map(np.dtype, WIDE)):
        found = many(jnp.asarray(flipped.view(dtype).reshape(-1, 2, 3)))
        whole = lanes_of(jnp.asarray(array))
    assert whole not in found
    assert len(set(found)) == len(found)


def test_every_boolean_changes_it():
    array = np.array([[True, False, True], [False, False, True]])
    flipped = np.stack([array ^ (np.arange(6).reshape(2, 3) == i) for i in range(6)])
    assert len({lanes_of(jnp.asarray(array)), *many(jnp.asarray(flipped))}) == 7


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_every_bit_of_every_key_changes_it(implementation):
    keys = jax.random.split(jax.random.key(0, impl=implementation), 2)
    data = np.asarray(jax.random.key_data(keys))
    flipped = np.stack([data] * data.size * 32).reshape(-1, data.size)
    for bit, row in enumerate(flipped):
        row[bit // 32] ^= np.uint32(1 << bit % 32)
    found = many(jax.random.wrap_key_data(jnp.asarray(flipped.reshape(-1, *data.shape)), impl=implementation))
    assert lanes_of(keys) not in found


@pytest.mark.parametrize("dtype", NARROW + WIDE, ids=name)
def test_exchanged_elements_change_it(dtype):
    raw = np.zeros((24, np.dtype(dtype).itemsize), np.uint8)
    raw[:, 0] = range(1, 25)
    array = raw.view(dtype).reshape(4, 6)
    pairs = list(itertools.combinations(range(24), 2))
    swapped = np.stack([array.reshape(-1)] * len(pairs))
    for row, (i, j) in zip(swapped, pairs, strict=True):
        row[[i, j]] = row[[j, i]]
    with jax.enable_x64(np.dtype(dtype) in map(np.dtype, WIDE)):
        assert lanes_of(jnp.asarray(array)) not in many(jnp.asarray(swapped.reshape(-1, 4, 6)))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("spec", [(None, None), ("a", None), (None, "a"), ("a", "b"), (("b", "a"), None)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16], ids=name)
def test_the_same_on_every_mesh(kind, spec, dtype):
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind, kind))
    array = noise(np.random.default_rng(2), dtype, (16, 8))
    assert lanes_of(jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))) == in_python(array)


@pytest.mark.parametrize("spec", [(None, None), ("x", None), (None, "x")], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool", "complex64"])
def test_no_array_is_copied_and_no_shard_is_gathered(spec, dtype):
    """What a device keeps and sends to the others are sums, however large the array is."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    spread = jax.ShapeDtypeStruct((1024, 512), dtype, sharding=NamedSharding(mesh, PartitionSpec(*spec)))
    assert checksum.lower(spread).compile().memory_analysis().temp_size_in_bytes < 1024


def test_keys_on_a_mesh():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    keys = jax.random.split(jax.random.key(0), 8)
    assert lanes_of(jax.device_put(keys, NamedSharding(mesh, PartitionSpec("x")))) == lanes_of(keys)


def test_by_path_and_in_hexadecimal():
    tree = {"a": jnp.float32(1), "b": [jnp.zeros((0, 3))]}
    low, high = in_python(np.float32(1)[None])
    assert checksums(tree) == {"a": f"{low:08x}{high:08x}", "b/0": "0" * 16}
