"""Primitives in terms of others, and complex numbers as pairs: what converters are given is what JAX computes."""

import importlib.util
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import export
from jnn.export._litert import RULES
from jnn.export._onnx import RULES as ONNX
from jnn.export._primitives import evaluated

RNG = np.random.default_rng(0)
GONE = ("pad[", "cumsum[", "sort[", "scatter-", "shift_left", "triangular_solve[", "fft[", "c64[")
FUNCTIONS = {
    "between, and cut": lambda x: jax.lax.pad(x, 1.0, ((1, -1, 2), (0, 2, 0))),
    "cut further than there is": lambda x: jax.lax.pad(x, 1.0, ((-8, 5, 0), (5, -7, 1))),
    "a sum so far": lambda x: (jnp.cumsum(x, 1), jax.lax.cumsum(x, 0, reverse=True)),
    "sorted by two": lambda x: jax.lax.sort((jnp.floor(2 * x), -x, x), dimension=0, num_keys=2),
    "sorted, equals in their order": lambda x: (jnp.argsort(x > 0, 1), jnp.sort((9 * x).astype(jnp.int32), 0)),
    "rows added": lambda x: x.at[jnp.array([1, 9, 1, -1])].add(x[:4]),
    "elements, by two indices": lambda x: x.at[jnp.array([0, 7, 0]), jnp.array([1, 1, 1])].multiply(3.0),
    "greatest of columns": lambda x: -jnp.ones((6, 2)).at[:, jnp.array([0, 1, 0])].max(x),
    "least, brought inside": lambda x: x.at[jnp.array([5, 9])].min(-x[:2], mode="clip"),
    "rows of a batch": jax.vmap(lambda r: jnp.zeros(3).at[jnp.argsort(r)].add(r)),
    "a scalar": lambda x: (x[0, 0].at[()].add(1), jax.vmap(lambda a, b: a.at[()].max(b))(x[:, 0], x[:, 1])),
    "subtracted, and nothing": lambda x: (x.at[jnp.array([1, -1])].subtract(2), x.at[jnp.zeros(0, int)].add(1)),
    "rows for none": lambda x: jnp.zeros((0, 3)).at[jnp.array([0, 1])].add(x[:2]),
    "by bytes": jax.vmap(lambda r: jnp.zeros(3).at[jnp.argsort(r).astype(jnp.uint8)].set(r)),
    "a function of elements": lambda x: (
        x.at[jnp.array([1, 9])].apply(jnp.sin, mode="clip"),
        x.at[jnp.array([1, 1, 9])].apply(lambda v: 2 * v + 1),
        jax.vmap(lambda r: r.at[jnp.argsort(r)[:1]].apply(jnp.sin))(x),
    ),
    "windows": lambda x: jax.lax.scatter_add(
        x,
        (x[:2, :1] > 0).astype(jnp.int32) + 1,
        x[None, :2] * jnp.ones((2, 1, 1)),
        jax.lax.ScatterDimensionNumbers((1, 2), (), (0,)),
    ),
    "transposed convolution": lambda x: jax.lax.conv_transpose(x[None, :, :], jnp.ones((4, 3, 2)) / 3, (2,), "SAME"),
    "products of bytes": lambda x: _bytes(jnp.tile(x, (1, 500))) @ _bytes(jnp.tile(x, (1, 500))).T,
    "products of the greatest bytes": lambda x: jax.lax.dot_general(
        *(jnp.full((2, 3, 700), 255, jnp.uint8) - _bytes(x[0, 0] > n).astype(jnp.uint8) for n in (9, 8)),
        (((1, 2), (1, 2)), ((), ())),
        preferred_element_type=jnp.int32,
    ),
    "products of no bytes": lambda x: (_bytes(x[:, :0]) @ _bytes(x[:0]), jnp.einsum("a,b->ab", *_bytes(x[:2]))),
    "products of axes in any order": lambda x: jnp.einsum("ab,bcd,ad->ac", x, x.reshape(3, 3, 2), x[:, :2]),
    "shifted": lambda x: (_bytes(x) << 4 >> 4, jnp.int32(3) << jnp.arange(32)),
    "unsigned": lambda x: _unsigned(x) // 3 - _unsigned(x) * _unsigned(x[::-1]) // (1 << 20),
    "triangular": lambda x: [_solved(x, *how) for how in itertools.product((False, True), repeat=3)],
    "triangular, beside what is no number": lambda x: jax.lax.linalg.triangular_solve(
        jnp.where(jnp.tri(3) > 0, x[:3] + 3 * jnp.eye(3), jnp.nan), x[:3], left_side=True, lower=True
    ),
    "in a scan": lambda x: jax.lax.scan(
        lambda c, r: (c.at[jnp.argmax(r)].add(1), jnp.cumsum(r)), x[0], x, reverse=True
    ),
    "in a while": lambda x: jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.cumsum(c[1], 1)), (0, x)),
    "in a batch of whiles": jax.vmap(
        lambda r: jax.lax.while_loop(lambda c: c[0].sum() < 20, lambda c: (2 * c[0], jnp.sort(c[1])), (jnp.exp(r), -r))
    ),
    "in a branch": lambda x: jax.lax.cond(x.sum() > 0, lambda x: jnp.sort(x, 1), lambda x: jnp.cumsum(x, 0), x),
    "complex products": lambda x: (jnp.abs(_complex(x) @ jnp.conj(_complex(x)).T), jnp.real((x + 2j) ** 3)),
    "complex quotients": lambda x: jnp.imag(jnp.exp(_complex(x)) / (_complex(x) - 3j)),
    "complex numbers near the ends of the range": lambda x: (
        jnp.abs(_complex(x) * 1e-30),
        jnp.abs(_complex(x) * 1e30),
        jnp.real(_complex(x) * 1e30 / (_complex(x[::-1]) * 1e30)),
    ),
    "complex numbers added and put": lambda x: jnp.abs(
        _complex(x).at[jnp.array([1, 1, 9])].add(2j).at[0].subtract(1j).at[jnp.array([2])].set(3j)
    ),
    "complex constants in loops": lambda x: jax.lax.scan(
        lambda c, r: (c * r, jnp.imag(c * r)),
        jnp.asarray(np.array([1j, 2, 3 - 1j], np.complex64)),
        _complex(x),
        reverse=True,
    )[1],
    "complex constants of branches": lambda x: jnp.real(
        jax.lax.cond(x.sum() > 0, _complex, lambda x: jnp.asarray(np.full((6, 3), 2j, np.complex64)), x)
    ),
    "complex carries": lambda x: jax.lax.scan(lambda c, r: (c * r, jnp.real(c)), _complex(x[0]), _complex(x)[1:])[1],
}
SPECTRA = {
    "fft": lambda x: jnp.abs(jnp.fft.fft2(x)),
    "ifft": lambda x: jnp.imag(jnp.fft.ifft(_complex(x))),
    "rfft": lambda x: jnp.real(jnp.fft.rfft(x)) - jnp.imag(jnp.fft.rfft(x)),
    "irfft": lambda x: jnp.fft.irfft(_complex(x), x.shape[-1]),
    "of real numbers, in two dimensions": lambda x: jnp.fft.irfft2(jnp.fft.rfft2(x) * 2, x.shape),
}


FREE = {  # of batches of any size, as jax2onnx is given them
    "sorted along a free axis": lambda x: jax.lax.sort((jnp.floor(2 * x[:, 0]), -x[:, 1], x[:, 2]), num_keys=2),
    "as many rows four times": lambda x: jnp.zeros((4 * x.shape[0], 3)).at[jnp.arange(3)].add(x[:1]),
    "in a scan of so many rows": lambda x: jax.lax.scan(
        lambda c, s: (jnp.repeat(c, 3, 0).reshape(-1, 3, 3).sum(1) * s, c[0]), x, jnp.arange(3.0), reverse=True
    ),
    "sorted along a free axis, with what is no number": lambda x: jax.lax.sort(
        (jnp.where(x > 1, jnp.nan, jnp.floor(x) / 0), x, x > 0), dimension=0, num_keys=1
    ),
    "a function of elements of a free axis": lambda x: x.at[:, jnp.array([1, 1])].apply(jnp.sin),
    "shifted down": lambda x: (_bytes(x) >> 3, (x * 1e9).astype(jnp.int32) >> jnp.arange(3)[None]),
    "halves of sums": lambda x: (((x * 99).astype(jnp.int32) + 1) // 2, (x * 99).astype(jnp.int32) % 4),
    "products over two axes": lambda x: jnp.einsum(
        "ab,bcd,ad->ac", x, x[:1].reshape(3, 1, 1) * jnp.ones((3, 2, 2)), x[:, :2]
    ),
    "put into a batch": jax.vmap(lambda r: jnp.zeros(5).at[jnp.argsort(r)].set(r)),
    "one of one": lambda x: x[:1, 0].at[(x > 0).astype(jnp.int32)].get(mode="clip"),
    "three axes": lambda x: jax.lax.conv_general_dilated(
        x.reshape(-1, 3, 1, 1, 1) * jnp.arange(40.0).reshape(1, 1, 5, 4, 2),
        jnp.sin(jnp.arange(72.0)).reshape(2, 3, 2, 2, 3),
        (2, 1, 1),
        ((1, 2), (1, 0), (0, 0)),
        rhs_dilation=(2, 1, 1),
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    ),
}


def _bytes(x):
    return (x * 100).astype(jnp.int8)


def _unsigned(x):
    return (jnp.abs(x) * 2.0**30).astype(jnp.uint32)


def _solved(x, left_side, lower, transpose_a):
    a, b = jnp.eye(3) * 2 + x[3:], x[:3, :2] if left_side else x[:2]
    return jax.lax.linalg.triangular_solve(a, b, left_side=left_side, lower=lower, transpose_a=transpose_a)


def _complex(x):
    return jax.lax.complex(x, jnp.flip(x))


def assert_the_same(f, x, **tolerance):
    """A function in the terms that LiteRT has, which are none of those that it lacks."""
    program = jax.make_jaxpr(f)(x)
    given = jax.make_jaxpr(partial(evaluated, program, RULES))(x)
    assert [name for name in GONE if name in str(given)] == []
    found = jax.jit(partial(evaluated, given, {}))(x)
    for a, b in zip(found, jax.tree.leaves(jax.jit(f)(x)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_formulation_is_its_primitive(name):
    x = RNG.normal(size=(6, 3)).astype(np.float32)
    assert_the_same(FUNCTIONS[name], x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FREE)
def test_a_formulation_of_any_batch(name):
    f, x = FREE[name], RNG.normal(size=(6, 3)).astype(np.float32)
    specs = jax.export.symbolic_args_specs((x,), "b, ...")
    program = jax.make_jaxpr(f)(*specs)
    given = jax.export.export(jax.jit(partial(evaluated, program, ONNX)))(*specs)
    for n in (6, 2):
        for a, b in zip(given.call(x[:n]), jax.tree.leaves(jax.jit(f)(x[:n])), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


INTEGERS = {
    "shifted": lambda x, y: [shift(x, n) for shift in SHIFTS for n in (jnp.abs(y) % 40, x)],
    "sums and products": lambda x, y: (x + y, x - y, x * y),
    "quotients": lambda x, y: (jax.lax.div(x, y), x // jnp.where(y == 0, 1, y), 100 // jnp.where(x == 0, 1, x)),
    "what is left": lambda x, y: jax.lax.rem(x, jnp.where(y == 0, 1, y)),
    "sorted": lambda x, y: (jnp.sort(x), jnp.argsort(x), jax.lax.sort((x, y), num_keys=2)),
}
SHIFTS = (jax.lax.shift_left, jax.lax.shift_right_arithmetic)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_to_the_ends_of_their_range(name, dtype):
    ends = np.iinfo(dtype)
    few = np.array(
        [ends.min, ends.min + 1, 0, 1, 2, 7, ends.max // 2, ends.max // 2 + 1, ends.max - 1, ends.max], dtype
    )
    x, y = (grid.ravel() for grid in np.meshgrid(few, few))
    with jax.enable_x64(dtype.endswith("64")):
        wanted = jax.tree.leaves(jax.jit(INTEGERS[name])(x, y))
        program = jax.make_jaxpr(INTEGERS[name])(x, y)
        for rules in (RULES, ONNX):
            for a, b in zip(jax.jit(partial(evaluated, program, rules))(x, y), wanted, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float64])
def test_what_is_no_number_is_the_last_and_zeros_are_equal(dtype):
    x = np.array([0, np.nan, -0.0, 1, np.inf, -np.inf, -1, 0, -np.nan, -3e-3, -0.0, np.inf], dtype)
    with jax.enable_x64(dtype == np.float64):
        wanted, program = jnp.argsort(x), jax.make_jaxpr(jnp.argsort)(x)
        np.testing.assert_array_equal(jax.jit(partial(evaluated, program, RULES))(x)[0], wanted)


def test_convolutions_of_three_axes_of_bytes_and_of_less_than_there_is():
    rng, dims = np.random.default_rng(0), ("NDHWC", "DHWIO", "NDHWC")
    x, w = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((2, 5, 3, 3, 2), (2, 2, 2, 2, 2)))
    for options in ({"preferred_element_type": jnp.int32}, {"batch_group_count": 2}):
        f = lambda x, w, o=options: jax.lax.conv_general_dilated(
            x, w, (1, 1, 1), ((-1, -2), (0, 1), (1, 0)), dimension_numbers=dims, **o
        )
        found = jax.jit(partial(evaluated, jax.make_jaxpr(f)(x, w), ONNX))(x, w)[0]
        assert found.dtype == f(x, w).dtype
        np.testing.assert_array_equal(found, f(x, w))


def test_spectra_in_double_precision():
    with jax.enable_x64(True):
        x = np.random.default_rng(0).normal(size=(2, 66))
        f = lambda x: (
            jnp.abs(jnp.fft.rfft2(x).astype(jnp.complex64).astype(jnp.complex128)) + 0 * jnp.abs(jnp.fft.rfft2(x))
        )
        exact = lambda x: jnp.fft.irfft(jnp.fft.rfft(x) ** 2)
        for g, tolerance in ((f, 1e-6), (exact, 1e-12)):
            found = jax.jit(partial(evaluated, jax.make_jaxpr(g)(x), RULES))(x)[0]
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, g(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [6, 7, 120, 194])  # of one product, of two, and of a prime one
@pytest.mark.parametrize("name", SPECTRA)
def test_a_fourier_transform_of_products(name, n):
    x = RNG.normal(size=(2, n)).astype(np.float32)
    assert_the_same(SPECTRA[name], x, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("rules", [RULES, ONNX], ids=["litert", "onnx"])
def test_complex_numbers_that_are_scattered(rules):
    x = RNG.normal(size=(6, 3)).astype(np.float32)
    f = FUNCTIONS["complex numbers added and put"]
    found = jax.jit(partial(evaluated, jax.make_jaxpr(f)(x), rules))(x)[0]
    np.testing.assert_allclose(found, f(x), rtol=1e-5)
    with pytest.raises(TypeError, match="Pair"):
        jax.make_jaxpr(partial(evaluated, jax.make_jaxpr(lambda x: _complex(x).at[0].apply(jnp.sin))(x), rules))(x)


def test_what_has_no_fixed_size_or_no_converter_is_named(tmp_path):
    f, path = lambda p, x: 2 * x, tmp_path / "model.tflite"
    free = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, 3"), np.float32)
    with pytest.raises(ValueError, match="for the sizes that are given: expected numbers, found 'b'"):
        export.litert(f, {}, free, path=path)
    with pytest.raises(TypeError, match="expected a function"):
        export.litert({}, f, free, path=path)
    if importlib.util.find_spec("litert_converter") is None:
        with pytest.raises(ImportError, match="litert-converter is not installed"):
            export.litert(f, {}, np.zeros((1, 3), np.float32), path=path)
