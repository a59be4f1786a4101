"""Somebody else's arrays: every pair of dtypes exact, rounded or refused; every misfit in one error."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import jnn
from jnn import Param
from jnn.initializers import zeros
from jnn.layers import linear_spec
from jnn.param import misfits
from tests.data.sources.lazy import Counted
from tests.param.specs import KEY, RULES, assert_equal, mesh_of, spec_of


def test_load_takes_trees_and_flat_dicts_of_numpy_and_places_them():
    params, mesh = jnn.init(spec_of(), KEY), mesh_of(x=2, y=4)
    tree = jax.tree.map(np.asarray, params)
    for arrays in (tree, jnn.flatten(tree), params):
        loaded = jnn.load(spec_of(), arrays, mesh=mesh, rules=RULES)
        assert_equal(loaded, params)
        assert jax.tree.map(lambda x: x.sharding, loaded) == jnn.shardings(spec_of(), mesh, RULES)
    assert_equal(jnn.load(spec_of(), tree), params)


def test_load_casts_between_floats():
    spec = {"w": Param((3,), zeros, ("embed",)), "v": Param((3,), zeros, ("embed",), jnp.bfloat16)}
    loaded = jnn.load(spec, {"w": np.arange(3, dtype=ml_dtypes.bfloat16), "v": np.arange(3, dtype=np.float64)})
    assert (loaded["w"].dtype, loaded["v"].dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_array_equal(loaded["w"], [0, 1, 2])


def test_load_names_every_misfit_in_one_error():
    spec = {"a": linear_spec(2, 3), "n": Param((2,), zeros, ("embed",), jnp.int32)}
    arrays = {"a": {"w": np.zeros((3, 2))}, "n": np.zeros(2), "extra": {"x": np.zeros(5)}}
    with pytest.raises(ValueError, match="The arrays do not fit the spec") as error:
        jnn.load(spec, arrays)
    assert str(error.value).splitlines()[1:] == [
        "  extra: extra/x float64[5]",
        "  misshapen: a/w is float64[3,2], expected float32[2,3]",
        "  missing: a/b float32[3]",
        "  mistyped: n is float64[2], expected int32[2]",
    ]


def test_what_reads_itself_is_read_one_at_a_time():
    arrays = {name: np.full((8, 8), i, np.float32) for i, name in enumerate("abcdefgh")}
    spec = lambda dtype: {name: Param((8, 8), zeros, ("embed", "hidden"), dtype) for name in arrays}
    for dtype, reads in ((jnp.float32, 1), (jnp.bfloat16, 2)):
        counted = Counted()
        lazy = {name: counted.of(x) for name, x in arrays.items()}
        params = jnn.load(spec(dtype), lazy, mesh=mesh_of(x=2, y=4), rules=RULES)
        assert counted.made == 8 * reads
        assert counted.most <= 2 * 256  # JAX lets go of the last one when it is given the next
        jax.tree.map(np.testing.assert_array_equal, params, jnn.load(spec(dtype), arrays))
    with pytest.raises(ValueError, match=r"misshapen: a is float32\[8,8\], expected float32\[2\]"):
        jnn.load({"a": Param((2,), zeros, ("embed",))}, {"a": counted.of(arrays["a"])})
    assert counted.made == 16


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_params_share_no_memory_with_what_they_are_made_of(tmp_path, kind, dtype):
    """On a CPU JAX takes an array whose address it likes as it is: a file that is written anew would be the params."""
    np.zeros(2**16, np.float32).tofile(tmp_path / "a")
    x = np.memmap(tmp_path / "a", np.float32, "r+")
    params = jnn.load({"w": Param(x.shape, zeros, ("embed",), dtype)}, {"w": kind(x)})
    x[:] = 7
    assert not params["w"].any()


FLOATS = [np.float32, np.float16, jnp.bfloat16, jnp.float8_e4m3fn, jnp.float8_e5m2, jnp.float8_e4m3b11fnuz]
INTEGERS = [np.int32, np.int16, np.int8, np.uint32, np.uint8, jnp.int4, jnp.uint4]
dtypes = lambda name, kinds: pytest.mark.parametrize(name, kinds, ids=lambda d: jnp.dtype(d).name)


def loaded(array, dtype):
    """One array, loaded into a Param of another dtype."""
    return np.asarray(jnn.load({"w": Param(array.shape, zeros, ("embed",), dtype)}, {"w": array})["w"])


def spread(dtype):
    """Numbers of a dtype from its smallest to its largest."""
    if not jnp.issubdtype(dtype, jnp.floating):
        low, high = int(jnp.iinfo(dtype).min), int(jnp.iinfo(dtype).max)
        values = [low, low + 1, -1 if low else 1, 0, 1, 3, high // 2, high - 1, high]
        return np.array(values, np.int64 if low else np.uint64).astype(dtype)
    high, tiny = float(jnp.finfo(dtype).max), float(jnp.finfo(dtype).smallest_normal)
    return np.array([-high, -1.125, -tiny, 0.0, tiny, 0.3, 1.0, 7.0, 100.0, high / 2, high], np.float64).astype(dtype)


@dtypes("target", FLOATS)
@dtypes("source", FLOATS)
def test_floats_are_rounded_and_what_would_overflow_is_named(source, target):
    for i, x in enumerate(spread(source)):
        array, most = np.array([0, x]).astype(source), float(jnp.finfo(target).max)
        if abs(float(x)) <= most:
            got = loaded(array, target)
            np.testing.assert_array_equal(got.view(np.uint8), array.astype(target).view(np.uint8), err_msg=f"{i}")
        elif abs(float(x)) > most * (1 + float(jnp.finfo(target).eps)):
            with pytest.raises(ValueError, match=r"out of range: w holds .* at \(1,\), which \w+ cannot"):
                loaded(array, target)


@dtypes("target", FLOATS)
def test_infinity_and_nan_stay_what_they_are_or_are_named(target):
    assert np.isnan(loaded(np.array([np.nan], np.float32), target).astype(np.float32)).all()
    infinite = np.array([np.inf], np.float32)
    if "fn" in jnp.dtype(target).name:
        with pytest.raises(ValueError, match="out of range: w holds inf"):
            loaded(infinite, target)
    else:
        assert loaded(infinite, target).astype(np.float32) == np.inf


@dtypes("dtype", FLOATS + INTEGERS)
def test_the_declared_dtype_is_taken_bit_for_bit(dtype):
    """Every 8-bit pattern, and NaNs with something in them."""
    size = jnp.dtype(dtype).itemsize
    bits = np.arange(256 * size, dtype=np.uint8) if size > 1 else np.arange(256, dtype=np.uint8)
    array = (bits.view(dtype) if "int4" not in jnp.dtype(dtype).name else spread(dtype)).ravel()
    if dtype is np.float32:
        array = np.append(array, np.array([0x7FA12345, 0xFFC00001, 0x7F800001], np.uint32).view(np.float32))
    np.testing.assert_array_equal(loaded(array, dtype).view(np.uint8), array.view(np.uint8))


@dtypes("target", [*INTEGERS, *FLOATS])
@dtypes("source", [*INTEGERS, np.int64, np.uint64, np.bool_])
def test_integers_are_exact_or_named(source, target):
    values = np.array([0, 1], source) if source is np.bool_ else spread(source)
    for x in values:
        with np.errstate(all="ignore"):
            exact = int(x) == _int(np.array(int(x), np.int64 if x < 0 else np.uint64).astype(target))
        if exact:
            assert _int(loaded(np.array([x]), target)[0]) == int(x)
        else:
            with pytest.raises(ValueError, match="out of range: w holds"):
                loaded(np.array([x]), target)


def _int(x):
    """As Python's integer, which knows no rounding; None for what is not one."""
    return int(x) if np.isfinite(float(x)) and float(x) == int(x) else None


@pytest.mark.parametrize(
    ("source", "target"),
    [(np.float32, np.int32), (np.complex64, np.float32), (np.int8, np.bool_), (np.complex64, np.int32)],
)
def test_another_kind_is_named(source, target):
    with pytest.raises(ValueError, match=r"mistyped: w is \w+\[2\], expected \w+\[2\]"):
        loaded(np.ones(2, source), target)


def test_complex_numbers_are_taken_from_real_ones_and_rounded_by_parts():
    np.testing.assert_array_equal(loaded(np.array([0.5, 2.0]), np.complex64), np.array([0.5, 2.0], np.complex64))
    with pytest.raises(ValueError, match=r"out of range: w holds .*, which complex64 cannot"):
        loaded(np.array([1.0, 1e300j]), np.complex64)


def test_the_first_of_many_that_is_lost_is_found():
    array = np.zeros((3, 500_000), np.float32)
    array[2, 123_456] = 1e6
    spec = {"w": Param(array.shape, zeros, ("a", "b"), jnp.float16)}
    with pytest.raises(ValueError, match=r"w holds 1000000.0 at \(2, 123456\), which float16 cannot"):
        jnn.load(spec, {"w": array})


def test_64_bits_are_named_where_jax_would_shorten_them():
    with pytest.raises(ValueError, match="found float64, while JAX is set to 32 bits"):
        loaded(np.ones(2), np.float64)
    with jax.enable_x64(True):
        assert loaded(np.array([1e300, 1 / 3]), np.float64).tolist() == [1e300, 1 / 3]
        assert loaded(np.array([2**62 + 1]), np.int64).tolist() == [2**62 + 1]
        with pytest.raises(ValueError, match="out of range: w holds 9223372036854775807"):
            loaded(np.array([2**63 - 1]), np.float64)


def test_what_is_no_number_is_a_line_with_its_path():
    param = lambda: Param((2,), zeros, ("embed",))
    odd = {
        "bf16": torch.ones(2, dtype=torch.bfloat16),
        "grad": torch.ones(2, requires_grad=True),
        "key": jax.random.split(KEY),
        "names": np.array(["a", "b"]),
        "text": "abc",
    }
    with pytest.raises(ValueError, match="The arrays do not fit the spec") as error:
        jnn.load({name: param() for name in [*odd, "good"]}, odd | {"good": torch.ones(2)})
    lines = str(error.value).splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        ["misshapen:", "text"],
        ["mistyped:", "names"],
        ["unreadable:", "bf16"],
        ["unreadable:", "grad"],
        ["unreadable:", "key"],
    ]
    assert "tensor.detach().numpy()" in lines[3]


@pytest.mark.parametrize("cast", [False, True])
def test_misfits_of_what_is_no_number_are_lines(cast):
    found = {"key": KEY, "text": "x", "none": None, "torch": torch.ones(2), "same": KEY}
    wanted = {"key": jax.random.key(0, impl="rbg"), "text": np.ones(()), "none": np.ones(()), "same": KEY}
    assert misfits(found, wanted | {"torch": Param((2,), zeros, ("embed",))}, cast=cast) == [
        "mistyped: key is key<fry>[], expected key<rbg>[]",
        "mistyped: none is a NoneType, expected float64[]",
        "mistyped: text is a str, expected float64[]",
        "mistyped: torch is torch.float32[2], expected float32[2]",
    ]


def test_misfits_are_of_leaves_by_path():
    flat, nested = {"a/b": np.ones(2)}, {"a": {"b": np.ones(2)}}
    for found, wanted, which in ((nested, nested, "found"), (flat, nested, "wanted")):
        with pytest.raises(TypeError, match=rf"found a dict at 'a' of {which}. Give jnn.flatten\(tree\)"):
            misfits(found, wanted)
    assert misfits(jnn.flatten(nested), flat) == []
    assert misfits(flat, {"a/b": Param((3,), zeros, ("embed",))}) == [
        "misshapen: a/b is float64[2], expected float32[3]"
    ]
