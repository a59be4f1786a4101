"""Quantized weights: how far they are from what they were, and that each product is that of what they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn import backend, layers
from jnn.layers import dequantize_weight, linear, quantize_weight
from jnn.param import abstract, flatten, misfits
from jnn.quantization import dequantize, quantize, quantize_spec
from tests.oracle import assert_matches_torch, configurations

RNG = np.random.default_rng(0)


def drawn(rng, dtype=np.float32):
    """A weight with zeros, and how it becomes integers: which axes are summed over, in what groups."""
    shape = tuple(rng.integers(1, 5, rng.integers(1, 4)).tolist())
    axes = tuple(sorted(rng.choice(len(shape), rng.integers(1, len(shape) + 1), replace=False).tolist()))
    bits, group = (8, 4)[rng.integers(2)], int(rng.integers(1, 5)) if rng.integers(2) else None
    if group is not None:
        shape = tuple(n * group if i == axes[-1] else n for i, n in enumerate(shape))
    if bits == 4:
        shape = (*shape[:-1], 2 * shape[-1])
    w = rng.normal(size=shape, scale=10 ** rng.uniform(-2, 2)) * (rng.random((*shape[:-1], 1)) < 0.8)
    return w.astype(dtype), {"axis": axes, "bits": bits, "group": group}


def blocks(w, axis, bits, group):
    """For each axis, how many share a scale."""
    if group is None:
        return [n if i in axis else 1 for i, n in enumerate(w.shape)]
    return [group if i == axis[-1] else 1 for i in range(w.ndim)]


def spread(scales, of):
    """The scale of each weight."""
    for axis, n in enumerate(of):
        scales = np.repeat(scales, n, axis)
    return scales


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_no_weight_is_further_than_half_its_scale(rng, dtype):
    w, how = drawn(rng, dtype)
    of, most = blocks(w, **how), 2 ** (how["bits"] - 1) - 1
    q = jax.jit(lambda w: quantize_weight(w, **how))(w)
    back, wide = np.asarray(dequantize_weight(q, np.float32)), w.astype(np.float32)
    cut = abs(wide).reshape([size for n, m in zip(w.shape, of, strict=True) for size in (n // m, m)])
    greatest = cut.max(tuple(range(1, cut.ndim, 2)))
    given = np.asarray(q["scales"], np.float32)
    np.testing.assert_allclose(given, np.where(greatest > 0, greatest, 1) / most, rtol=float(jnp.finfo(dtype).eps))
    scales = spread(given, of)
    beyond = np.maximum(abs(wide) - scales * most, 0)  # where a rounded scale leaves the greatest out
    assert (abs(back - wide) <= np.maximum(scales / 2 * (1 + 1e-5), beyond)).all()
    assert (back[wide == 0] == 0).all()
    assert q[f"int{how['bits']}"].nbytes == w.size * how["bits"] // 8


@pytest.mark.parametrize("rng", configurations(fast=[2]), ids=range(20))
def test_scales_have_the_gradient_of_their_products(rng):
    w, how = drawn(rng)
    q = quantize_weight(w, **how)
    back = np.asarray(dequantize_weight(q))
    whole = torch.tensor(np.round(back / spread(np.asarray(q["scales"]), blocks(w, **how))))

    def theirs(scales):
        for axis, n in enumerate(blocks(w, **how)):
            scales = scales.repeat_interleave(n, axis)
        return scales * whole

    assert_matches_torch(lambda scales: dequantize_weight(q | {"scales": scales}), theirs, [np.asarray(q["scales"])])


@pytest.mark.parametrize(("rows", "bits", "platform"), [(1, 8, "cpu"), (3, 8, "cpu"), (3, 4, "cpu"), (3, 8, "tpu")])
def test_a_product_is_that_of_what_they_stand_for(rows, bits, platform, monkeypatch):
    monkeypatch.setattr("jnn.layers._quantized_weight.SMALL", 0)
    monkeypatch.setattr("jnn.layers._quantized_weight.LARGE", 0)
    monkeypatch.setattr("jnn.layers._quantized_weight.ROWS", 16)
    q = quantize_weight(jnp.asarray(RNG.normal(size=(7, 20, 6)), np.float32), axis=(0, 1), bits=bits)
    table = quantize_weight(jnp.asarray(RNG.normal(size=(50, 6)), np.float32), axis=1, bits=bits)
    x, h = (jnp.asarray(RNG.normal(size=(rows, *size)), np.float32) for size in ((7, 20), (6,)))
    tokens = jnp.array([[3, 49], [0, 1]])

    def both(x, h, q, table):
        return (
            linear({"w": q}, x, in_axes=2),
            layers.unembed({"table": table}, h),
            layers.embed({"table": table}, tokens),
        )

    def run(q, table, directions):
        y, back = jax.vjp(lambda x, h: both(x, h, q, table), x, h)
        return y, back(directions)

    @jax.jit
    def pair(q, table):
        plain = dequantize_weight(q), dequantize_weight(table)
        directions = jax.tree.map(jnp.cos, both(x, h, *plain))
        return run(q, table, directions), run(*plain, directions)

    with backend.target(platform):
        found, want = map(jax.tree.leaves, pair(q, table))
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_sums_of_integers_stay_in_range_in_float16():
    q = quantize_weight(jnp.ones((1024, 2), np.float16))
    y = linear({"w": q}, jnp.ones(1024, np.float16))
    np.testing.assert_allclose(np.asarray(y, np.float32), 1024, rtol=2e-3)


@pytest.mark.parametrize("how", [{}, {"bits": 4, "group": 4}], ids=str)
def test_a_model_becomes_what_the_spec_declares(how):
    spec = {
        "embed": layers.embed_spec(6, 8),
        "position": layers.learned_positions_spec(5, 8),
        "blocks": jnn.stack({"attention": layers.attention_spec(8, 2), "norm": layers.layer_norm_spec(8)}, 3),
    }
    p, declared = jnn.init(spec, jax.random.key(0)), quantize_spec(spec, **how)
    q = quantize(p, spec, **how)
    assert misfits(flatten(q), flatten(abstract(declared))) == []
    assert jax.tree.structure(dequantize(q)) == jax.tree.structure(p)
    assert "table" in q["position"]
    assert not hasattr(q["position"]["table"], "keys")
    cache = layers.attention_cache(jax.tree.map(lambda x: x[0], q["blocks"]["attention"]), 5)
    assert (cache["k"].shape, cache["k"].dtype) == ((5, 2, 4), np.float32)
    jax.tree.map(np.testing.assert_array_equal, jnn.load(declared, flatten(q)), q)


MAP, BARE = layers.linear_spec(6, 3), layers.linear_spec(6, 3, bias=False)
OF_ANOTHER_KIND = {
    "a number of patterns": (
        lambda: quantize({"w": jnp.ones((6, 3))}, BARE, where=0.9),
        "quantize: expected patterns of paths",
    ),
    "a number of scales": (
        lambda: quantize({"w": jnp.ones((6, 3))}, BARE, scales=0.5),
        "quantize: expected scales by path",
    ),
    "params for a spec": (
        lambda: quantize({"w": jnp.ones((6, 3))}, {"w": jnp.ones((6, 3))}),
        "quantize: expected a spec",
    ),
    "a spec": (lambda: dequantize(quantize_spec(BARE)), "dequantize: expected an array for w/int8, found jnn.Param"),
    "a number": (lambda: dequantize(0.5), "dequantize: expected an array for p, found float"),
}


@pytest.mark.parametrize("why", OF_ANOTHER_KIND)
def test_what_is_of_another_kind_is_refused(why):
    call, words = OF_ANOTHER_KIND[why]
    with pytest.raises(TypeError, match=words):
        call()


REFUSED = {
    "of another model": (
        lambda: quantize({"w": jnp.ones((5, 3))}, BARE),
        r"quantize: expected w \(6, 3\), as the spec decl",
    ),
    "3 bits": (lambda: quantize_spec(MAP, bits=3), r"^quantize_spec: expected 8 or 4 bits, found 3\.$"),
    "3 bits of params": (lambda: quantize({}, MAP, bits=3), r"^quantize: expected 8 or 4 bits, found 3\.$"),
    "groups that do not divide": (
        lambda: quantize_spec(MAP, group=4),
        "^quantize_spec: .*groups of 4 do not divide the 6 inputs",
    ),
    "an odd axis": (lambda: quantize_spec(MAP, bits=4), "two in a byte along the last axis"),
    "twice": (lambda: quantize(quantize({"w": jnp.ones((6, 3))}, BARE), BARE), "w is quantized already.*dequantize"),
    "nothing": (
        lambda: quantize_spec(layers.layer_norm_spec(3)),
        "^quantize_spec: no linear map, convolution or table of a vocabulary fits",
    ),
    "a draw": (lambda: jnn.init(quantize_spec(MAP), jax.random.key(0)), "quantize\\(jnn.init"),
    "a bilinear map": (
        lambda: layers.bilinear({"w": quantize_weight(jnp.ones((3, 4, 2)))}, jnp.ones(3), jnp.ones(4)),
        "expected an array for params\\['w'\\], found integers with scales",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    call, words = REFUSED[why]
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("dtype", "least"), [(np.float16, 1e-7), (np.float32, 3e-38), (jnp.bfloat16, 3e-38)])
def test_weights_as_small_as_their_dtype_has_them_are_no_further_than_half_their_scale(bits, dtype, least):
    """Of float16 a scale is coarse there, and half of them would be rounded to 0."""
    w = (RNG.normal(size=(4, 200)) * least * 10 ** RNG.uniform(0, 3, 200)).astype(dtype)
    q = jax.jit(lambda w: quantize_weight(w, bits=bits))(w)
    scales, wide = (np.asarray(x, np.float64) for x in (q["scales"], w))
    back = np.asarray(dequantize_weight(q, np.float32), np.float64)
    flushed = 0 if dtype == np.float16 else float(jnp.finfo(dtype).tiny)  # what XLA takes for 0
    assert (scales > 0).all()
    assert (abs(back - wide) <= scales / 2 * (1 + 1e-2) + flushed).all()


def test_what_is_no_number_is_not_made_one():
    q = quantize_weight(jnp.array([[1.0, 1.0, 1.0], [jnp.nan, jnp.inf, 2.0]]))
    assert np.isnan(dequantize_weight(q)).any(0).tolist() == [True, True, False]


def test_axes_are_counted_from_either_end_and_are_those_of_the_weight():
    w = RNG.normal(size=(3, 4, 2)).astype(np.float32)
    jax.tree.map(np.testing.assert_array_equal, quantize_weight(w, axis=-2), quantize_weight(w, axis=1))
    for axis in (3, (0, -4), ()):
        with pytest.raises(ValueError, match=r"quantize_weight: expected axes of a weight \(3, 4, 2\) .*, found"):
            quantize_weight(w, axis=axis)
