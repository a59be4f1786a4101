"""Products of 8-bit integers: against NumPy's int64, against fake-quantized floats, and their gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import layers
from jnn.layers import conv, linear, linear_spec
from jnn.param import abstract
from jnn.quantization import (
    absmax_scale,
    dequantize,
    fake_quantized,
    observe,
    quantize,
    quantize_activations,
)
from tests.oracle import configurations


def drawn(rng):
    in_axes = int(rng.integers(1, 3))
    d_in, d_out = tuple(rng.integers(1, 9, in_axes).tolist()), (int(rng.integers(1, 5)),)
    spec = linear_spec(d_in, d_out, axes=tuple("abcd"[: in_axes + 1]))
    p = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), abstract(spec))
    x = rng.normal(size=(5, *d_in), scale=10 ** rng.uniform(-3, 3)).astype(np.float32)
    return spec, p, x, in_axes


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_it_is_the_product_of_integers(rng, static):
    spec, p, x, in_axes = drawn(rng)
    run = lambda p, x: linear(p, x, in_axes=in_axes)
    scales = None
    if static:
        scales = {"w": absmax_scale(observe(run, p, spec, x, of=("histogram",))["w"]["histogram"])}
    q = quantize_activations(p, spec, scales)
    flat = x.reshape(len(x), -1)
    step = np.full((len(x), 1), scales["w"]) if static else np.abs(flat).max(1, keepdims=True) / np.float32(127)
    whole = np.clip(np.round(flat / step), -127, 127).astype(np.int64)
    w = np.asarray(q["w"]["w8a8"], np.int64).reshape(flat.shape[1], -1)
    want = (whole @ w) * step * np.asarray(q["w"]["scales"]).reshape(1, -1) + p["b"]
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * np.abs(want).max()}
    np.testing.assert_allclose(run(q, x), want, **tolerance)
    # near the floats: each factor is half a step off at most
    exact = run(p, x)
    assert np.linalg.norm(run(q, x) - exact) < 0.05 * np.linalg.norm(exact - p["b"]) + 1e-6
    if static:  # quantization-aware training has seen the same
        aware = fake_quantized(p, spec, input_scales=scales)
        for a, b in zip(
            jax.vjp(lambda x: run(q, x), x)[1](want), jax.vjp(lambda x: run(aware, x), x)[1](want), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())
        np.testing.assert_allclose(run(aware, x), want, **tolerance)


def test_rows_are_as_they_are_alone_and_what_is_no_number_stays_none():
    p, spec = {"w": jnp.eye(3)}, linear_spec(3, 3, bias=False)
    x = jnp.array([[1.0, 2, 3], [1e30, 0, 0], [0, 0, 0], [jnp.nan, 1, 2], [jnp.inf, 1, 2]])
    y = linear(quantize_activations(p, spec), x)
    np.testing.assert_allclose(y[:3], x[:3], rtol=1e-2, atol=2e-2)
    assert not jnp.isfinite(y[3:]).any()
    static = linear(quantize_activations(p, spec, {"w": jnp.array(1.0)}), x)
    assert jnp.isnan(static).all(-1).tolist() == [False, False, False, True, False]
    assert static[4].tolist() == [127, 1, 2]
    assert linear(quantize_activations(p, spec), x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_integers_are_compiled():
    p, spec = {"w": jnp.ones((8, 4))}, linear_spec(8, 4, bias=False)
    q = quantize_activations(p, spec)
    jaxpr = str(jax.make_jaxpr(linear)(q, jnp.ones((2, 8))))
    assert "preferred_element_type=int32" in jaxpr
    assert dequantize(q)["w"].shape == (8, 4)


P, SPEC = {"w": jnp.ones((4, 2))}, linear_spec(4, 2, bias=False)
LONG = linear_spec(2**18, 1, bias=False)
REFUSED = {
    "a convolution's": (
        lambda: conv({"w": quantize_activations({"w": jnp.ones((3, 4))}, linear_spec(3, 4, bias=False))["w"]}, P["w"]),
        "conv: .*inputs are in 8 bits or observed, which linear maps alone read",
    ),
    "a recurrence's": (
        lambda: layers.merge_weight(quantize_activations(P, SPEC)),
        "merge_weight: expected a weight, found",
    ),
    "another path": (lambda: quantize_activations(P, SPEC, {"v": jnp.ones(())}), "input scale for 'v', which is no"),
    "another shape": (
        lambda: fake_quantized(P, SPEC, input_scales={"w": jnp.ones(4)}),
        r"an input scale \(\)",
    ),
    "no scale": (
        lambda: quantize_activations(P, SPEC, {"w": jnp.array(jnp.nan)}),
        "positive input scale for w",
    ),
    "groups": (lambda: quantize_activations(P, SPEC, scales={"w": jnp.ones((2, 2))}), "a scale for each output"),
    "twice": (lambda: quantize_activations(quantize(P, SPEC), SPEC), "w is quantized already"),
    "too long": (
        lambda: jax.eval_shape(lambda x: linear(quantize_activations({"w": x[:, None]}, LONG), x), jnp.ones(2**18)),
        "int32 holds sums of 133144 products",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    call, words = REFUSED[why]
    with pytest.raises(ValueError, match=words):
        call()
