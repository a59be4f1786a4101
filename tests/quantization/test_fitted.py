"""GPTQ against the paper's equations in NumPy, AWQ against a search by hand; both nearer than the nearest integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import layers, models
from jnn.layers import dequantize_weight, linear, linear_spec
from jnn.param import abstract, flatten, misfits
from jnn.quantization import awq, dequantize, gptq, observe, quantize, quantize_spec
from tests.oracle import configurations


def problem(rng, d_in=None, d_out=None):
    """A map, and inputs of few directions with features of different sizes."""
    n, m = d_in or int(rng.choice([8, 24, 160])), d_out or int(rng.choice([4, 10]))
    sizes = np.exp(rng.normal(size=n))
    x = (rng.normal(size=(400, n // 4)) @ rng.normal(size=(n // 4, n)) + 0.3 * rng.normal(size=(400, n))) * sizes
    w = rng.normal(size=(n, m))
    return {"w": w.astype(np.float32)}, linear_spec(n, m, bias=False), x.astype(np.float32)


def error(q, p, x):
    return float(np.square(np.asarray(linear(q, x) - linear(p, x), np.float64)).mean())


def by_hand(w, gram, bits, group, act_order, damping=0.01):
    """GPTQ as in the paper, in float64: each weight's error over all that are not yet rounded, by the whole inverse."""
    n, most = len(w), 2 ** (bits - 1) - 1
    w, out, size = w.astype(np.float64).copy(), np.zeros(w.shape), group or n
    hessian = gram + damping * np.diag(gram).mean() * np.eye(n)
    order = np.argsort(-np.diag(gram), kind="stable") if act_order else np.arange(n)
    scales = np.abs(w).reshape(n // size, size, -1).max(1) / most
    inverse = np.linalg.inv(hessian)
    for place, i in enumerate(order):
        if group and not act_order and i % size == 0:
            scales[i // size] = np.abs(w[i : i + size]).max(0) / most
        scale = scales[i // size]
        out[i] = np.clip(np.round(w[i] / scale), -most, most) * scale
        later = order[place + 1 :]
        w[later] -= np.outer(inverse[later, i], (w[i] - out[i]) / inverse[i, i])
        # of what is left, the inverse without row and column i: one step of Gaussian elimination
        inverse = inverse - np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    return out


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_gptq_is_the_papers(rng):
    p, spec, x = problem(rng)
    bits, group, act_order = int(rng.choice([4, 8])), (None, 8)[rng.integers(2)], bool(rng.integers(2))
    sums = observe(linear, p, spec, x)
    found = dequantize(gptq(p, spec, sums, bits=bits, group=group, act_order=act_order))["w"]
    want = by_hand(p["w"], x.T.astype(np.float64) @ x, bits, group, act_order)
    step = np.abs(p["w"]).max() / (2 ** (bits - 1) - 1)
    # a tie that falls to the other side in float32 moves all that comes later: few weights, and no error more
    assert (np.abs(found - want) < 1e-3 * step).mean() > 0.95
    near = lambda w: np.square(x @ (w - p["w"])).mean()
    assert near(found) == pytest.approx(near(want), rel=0.05)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
@pytest.mark.parametrize("method", [gptq, awq])
def test_what_is_fitted_to_inputs_is_nearer_than_the_nearest(rng, method):
    p, spec, x = problem(rng)
    group = (None, 8)[rng.integers(2)]
    more = {"act_order": bool(rng.integers(2))} if method is gptq else {}
    q = method(p, spec, observe(linear, p, spec, x), group=group, **more)
    nearest = error(quantize(p, spec, bits=4, group=group), p, x)
    assert error(q, p, x) < (0.7 if method is gptq else 1.0 + 1e-6) * nearest


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_awq_takes_the_best_exponent(rng):
    p, spec, x = problem(rng)
    q, magnitude = awq(p, spec, observe(linear, p, spec, x), tried=5, group=8), np.abs(x).mean(0)
    errors = []
    for exponent in np.arange(5) / 5:
        factor = (magnitude**exponent)[:, None]
        rounded = dequantize_weight(layers.quantize_weight(jnp.asarray(p["w"] * factor), bits=4, group=8))
        errors.append(float(np.square(x @ (np.asarray(rounded, np.float64) / factor - p["w"])).mean()))
    assert error(q, p, x) == pytest.approx(min(errors), rel=1e-2)
    # a factor beside the weights is one within them
    np.testing.assert_allclose(linear(q, x), x @ dequantize(q)["w"], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("method", [gptq, awq])
def test_stacked_maps_of_several_axes_are_as_each_alone(method):
    rng = np.random.default_rng(0)
    own = linear_spec((2, 8), (3, 2), axes=("h", "k", "a", "b"))
    spec = jnn.stack(own, 2)
    p = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), abstract(spec))
    x = rng.normal(size=(2, 50, 2, 8)).astype(np.float32)
    run = lambda p, x: jax.lax.scan(lambda _, one: (0, linear(one[0], one[1], in_axes=2)), 0, (p, x))[1]
    sums = observe(run, p, spec, x)
    assert sums["w"]["gram"].shape == (2, 16, 16)
    q = method(p, spec, sums, group=4)
    for i in range(2):
        alone = jax.tree.map(lambda leaf, i=i: leaf[i], p)
        sums = observe(lambda p, x: linear(p, x, in_axes=2), alone, own, x[i])
        want = method(alone, own, sums, group=4)
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5), q, want)
    np.testing.assert_allclose(run(q, x), run(dequantize(q), x), rtol=1e-4, atol=1e-4)
    if method is gptq:
        assert misfits(flatten(q), flatten(abstract(quantize_spec(spec, bits=4, group=4)))) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_where_doubles_are_enabled_parameters_keep_their_dtype(dtype):
    with jax.enable_x64(True):
        spec, rng = linear_spec(8, 4, bias=False), np.random.default_rng(0)
        p, x = {"w": jnp.asarray(rng.normal(size=(8, 4)), dtype)}, jnp.asarray(rng.normal(size=(20, 8)), dtype)
        sums = observe(linear, p, spec, x)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(sums)} == {"float32"}
        for group in (4, None):
            assert linear(gptq(p, spec, sums, group=group), x).dtype == linear(awq(p, spec, sums), x).dtype == dtype


def test_a_decoder_layer_after_layer():
    """GPTQ of the authors: each layer sees what those before it, quantized already, make of the inputs."""
    config = models.DecoderConfig(vocab=16, layers=2, heads=2, embed=16, hidden=32)
    spec = models.decoder_spec(config)
    p, tokens = jnn.init(spec, jax.random.key(0)), jax.random.randint(jax.random.key(1), (4, 16), 0, 16)
    run = jax.jit(lambda p, tokens: models.decoder(p, tokens, config, key=None))
    watch = jax.jit(lambda p: observe(run, p, spec, tokens))
    sums = watch(p)
    whole = gptq(p, spec, sums, group=8)
    first = gptq(p, spec, sums, group=8, where="*/attention/*")
    then = watch(first)
    assert not any("attention" in path for path in then)
    both = gptq(first, spec, then, group=8, where=[*then])
    assert jax.tree.structure(both) == jax.tree.structure(whole)
    rounded = quantize(p, spec, bits=4, group=8, where=[*sums])
    far = lambda q: float(jnp.square(run(q, tokens) - run(p, tokens)).mean())
    assert far(both) < far(rounded)
    assert far(whole) < far(rounded)


P, SPEC = {"w": jnp.ones((4, 2))}, linear_spec(4, 2, bias=False)
SUMS = observe(linear, P, SPEC, jnp.ones((3, 4)))
REFUSED = {
    "3 bits": (lambda: gptq(P, SPEC, SUMS, bits=3), "gptq: expected 8 or 4 bits, found 3"),
    "groups": (lambda: awq(P, SPEC, SUMS, group=3), "groups of 3 do not divide the 4 inputs"),
    "another's": (lambda: gptq(P, SPEC, {"v": SUMS["w"]}), "gptq: expected statistics of w, found of v"),
    "inputs": (
        lambda: gptq(P, SPEC, jnp.ones((3, 4))),
        r"expected statistics of w, found float32\[3,4\]. Give observe",
    ),
    "no gram": (lambda: awq(P, SPEC, observe(linear, P, SPEC, jnp.ones((3, 4)), of=())), '"gram" of w: observe'),
    "nothing": (lambda: gptq(P, SPEC, observe(linear, P, SPEC, jnp.zeros((3, 4)))), "w was not observed"),
    "NaN": (lambda: awq(P, SPEC, observe(linear, P, SPEC, jnp.full((3, 4), jnp.nan))), "w was not observed"),
    "twice": (lambda: gptq(quantize(P, SPEC), SPEC, SUMS), "w is quantized already"),
    "unknown sums": (lambda: observe(linear, P, SPEC, jnp.ones((3, 4)), of=("mean",)), "found 'mean'"),
    "no damping": (lambda: gptq(P, SPEC, SUMS, damping=0.0), "Gram matrix of w is singular with damping=0.0"),
    "no map": (lambda: observe(linear, P, SPEC, jnp.ones((3, 4)), where="v"), "no linear map fits"),
    "negative damping": (lambda: gptq(P, SPEC, SUMS, damping=-1.0), "gptq: expected damping of 0 or more, found -1.0"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    call, words = REFUSED[why]
    with pytest.raises(ValueError, match=words):
        call()
