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
    "a sum so far": lambda x: (jnp.cumsum(x, 1), jax.lax.cumsum(x, 0, reverse=True)),
    "sorted by two": lambda x: jax.lax.sort((jnp.floor(2 * x), -x, x), dimension=0, num_keys=2),
    "sorted, equals in their order": lambda x: (jnp.argsort(x > 0, 1), jnp.sort((9 * x).astype(jnp.int32), 0)),
    "rows added": lambda x: x.at[jnp.array([1, 9, 1, -1])].add(x[:4]),
    "elements, by two indices": lambda x: x.at[jnp.array([0, 7, 0]), jnp.array([1, 1, 1])].multiply(3.0),
    "greatest of columns": lambda x: -jnp.ones((6, 2)).at[:, jnp.array([0, 1, 0])].max(x),
    "least, brought inside": lambda x: x.at[jnp.array([5, 9])].min(-x[:2], mode="clip"),
    "rows of a batch": jax.vmap(lambda r: jnp.zeros(3).at[jnp.argsort(r)].add(r)),
    "windows": lambda x: jax.lax.scatter_add(
        x,
        (x[:2, :1] > 0).astype(jnp.int32) + 1,
        x[None, :2] * jnp.ones((2, 1, 1)),
        jax.lax.ScatterDimensionNumbers((1, 2), (), (0,)),
    ),
    "transposed convolution": lambda x: jax.lax.conv_transpose(x[None, :, :], jnp.ones((4, 3, 2)) / 3, (2,), "SAME"),
    "products of bytes": lambda x: _bytes(jnp.tile(x, (1, 500))) @ _bytes(jnp.tile(x, (1, 500))).T,
    "products of axes in any order": lambda x: jnp.einsum("ab,bcd,ad->ac", x, x.reshape(3, 3, 2), x[:, :2]),
    "shifted": lambda x: (_bytes(x) << 4 >> 4, jnp.int32(3) << jnp.arange(32)),
    "unsigned": lambda x: _unsigned(x) // 3 - _unsigned(x) * _unsigned(x[::-1]) // (1 << 20),
    "triangular": lambda x: [_solved(x, *how) for how in itertools.product((False, True), repeat=3)],
    "in a scan": lambda x: jax.lax.scan(
        lambda c, r: (c.at[jnp.argmax(r)].add(1), jnp.cumsum(r)), x[0], x, reverse=True
    ),
    "in a while": lambda x: jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.cumsum(c[1], 1)), (0, x)),
    "in a branch": lambda x: jax.lax.cond(x.sum() > 0, lambda x: jnp.sort(x, 1), lambda x: jnp.cumsum(x, 0), x),
    "complex products": lambda x: (jnp.abs(_complex(x) @ jnp.conj(_complex(x)).T), jnp.real((x + 2j) ** 3)),
    "complex quotients": lambda x: jnp.imag(jnp.exp(_complex(x)) / (_complex(x) - 3j)),
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


@pytest.mark.parametrize("n", [6, 7, 120, 194])  # of one product, of two, and of a prime one
@pytest.mark.parametrize("name", SPECTRA)
def test_a_fourier_transform_of_products(name, n):
    x = RNG.normal(size=(2, n)).astype(np.float32)
    assert_the_same(SPECTRA[name], x, rtol=1e-3, atol=2e-4)


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
