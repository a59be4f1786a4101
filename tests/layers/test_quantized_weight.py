"""Quantized weights: how far they are from what they were, and that each product is that of what they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import backend, layers
from jnn.finetune import dequantize, quantize, quantize_spec
from jnn.layers import dequantize_weight, linear, quantize_weight
from jnn.param import abstract, flatten, misfits

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("bits", "group", "dtype"), [(8, None, jnp.bfloat16), (4, None, np.float32), (8, 2, np.float32), (4, 4, np.float32)]
)
def test_no_weight_is_further_than_half_its_scale(bits, group, dtype):
    w = RNG.normal(size=(3, 8, 6)).astype(dtype)
    w[:, :, 0] = 0
    q = jax.jit(lambda w: quantize_weight(w, axis=(0, 1), bits=bits, group=group))(w)
    assert q["scales"].shape == ((1, 1, 6) if group is None else (3, 8 // group, 6))
    back = np.asarray(dequantize_weight(q, np.float32))
    wide = w.astype(np.float32)
    scales = np.repeat(np.asarray(q["scales"], np.float32), group or 8, axis=1)
    assert (abs(back - wide) <= scales / 2 * (1 + 1e-5) + (abs(wide) > scales * (2 ** (bits - 1) - 1)) * scales).all()
    assert (back[:, :, 0] == 0).all()
    assert q[f"int{bits}"].nbytes == w.size * bits // 8


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


MAP = layers.linear_spec(6, 3)
REFUSED = {
    "3 bits": (lambda: quantize_spec(MAP, bits=3), "expected 8 or 4 bits, found 3.*That is w"),
    "groups that do not divide": (lambda: quantize_spec(MAP, group=4), "groups of 4 do not divide the 6 inputs"),
    "an odd axis": (lambda: quantize_spec(MAP, bits=4), "two in a byte along the last axis"),
    "nothing": (lambda: quantize_spec(layers.layer_norm_spec(3)), "no linear map or table of a vocabulary fits"),
    "a draw": (lambda: jnn.init(quantize_spec(MAP), jax.random.key(0)), "quantize\\(jnn.init"),
    "a convolution": (
        lambda: layers.conv({"w": quantize_weight(jnp.ones((3, 4)))}, jnp.ones((5, 3))),
        "expected an array for params\\['w'\\], found integers with scales",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    call, words = REFUSED[why]
    with pytest.raises(ValueError, match=words):
        call()
