"""What linear maps meet, as gradients: sums that add up whatever transforms the model, and a model that is unmoved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import models
from jnn.layers import linear, linear_spec
from jnn.param import linear_maps
from jnn.quantization import absmax_scale, entropy_scale, histogram, mse_scale, observe, percentile_scale
from tests.finetune.test_read import every_map, zeros
from tests.oracle import configurations

ALL = ("gram", "magnitude", "histogram")
SPEC = {"a": linear_spec(3, 4), "b": linear_spec(4, 2)}


def two_maps(p, x):
    return linear(p["b"], jax.nn.relu(linear(p["a"], x)))


def refused_or(make):
    try:
        return make()
    except ValueError as error:
        return str(error)


def close(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-4), a, b)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_sums_are_those_of_the_inputs(rng):
    p = jnn.init(SPEC, jax.random.key(int(rng.integers(99))))
    x = rng.normal(size=(6, int(rng.integers(1, 4)), 3)).astype(np.float32)
    sums = observe(two_maps, p, SPEC, x, of=ALL)
    flat = x.reshape(-1, 3).astype(np.float64)
    for path, met in {
        "a/w": flat,
        "b/w": np.maximum(flat @ np.asarray(p["a"]["w"]) + np.asarray(p["a"]["b"]), 0),
    }.items():
        want = {"rows": len(met), "gram": met.T @ met, "magnitude": np.abs(met).sum(0)}
        close({name: sums[path][name] for name in want}, want)
        assert sums[path]["histogram"].sum() == met.size
    halves = [observe(two_maps, p, SPEC, part, of=ALL) for part in (x[:2], x[2:])]
    close(sums, jax.tree.map(jnp.add, *halves))
    close(sums, observe(jax.jit(jax.vmap(jax.checkpoint(two_maps), (None, 0))), p, SPEC, x, of=ALL))
    close(sums, jax.jit(lambda p, x: observe(two_maps, p, SPEC, x, of=ALL))(p, x))


def test_a_map_that_no_output_hangs_on_met_nothing():
    p = jnn.init(SPEC, jax.random.key(0))
    apart = lambda p, x: jax.lax.stop_gradient(linear(p["a"], x)).sum() + linear(p["a"], x).sum()
    sums = observe(apart, p, SPEC, jnp.ones((5, 3)))
    assert {path: float(one["rows"]) for path, one in sums.items()} == {"a/w": 5, "b/w": 0}
    with pytest.raises(TypeError, match=r"observe: expected a function first, found dict: observe\(f"):
        observe({}, two_maps, SPEC, jnp.ones((5, 3)))
    with pytest.raises(TypeError, match="histogram: expected floating-point input, found int32"):
        histogram(jnp.arange(3))
    with pytest.raises(TypeError, match="observe: expected floats of f"):
        observe(lambda p, x: two_maps(p, x).argmax(-1), p, SPEC, jnp.ones((5, 3)))


@every_map
def test_every_linear_map_is_observed_or_refused(block):
    p = zeros(block.spec)

    def rows(path):
        run = lambda p: block.apply(p, *block.inputs(2), key=block.key)
        return jax.jit(lambda p: observe(run, p, block.spec, of=(), where=path)[path]["rows"])(p)

    for path in linear_maps("test_observe", block.spec):
        met = refused_or(lambda path=path: rows(path))
        assert "inputs are in 8 bits or observed" in met if isinstance(met, str) else (met > 0).all(), (path, met)


def test_a_decoder_is_observed_layer_by_layer():
    config = models.DecoderConfig(vocab=16, layers=3, heads=2, embed=8, hidden=12)
    spec = models.decoder_spec(config)
    p, tokens = jnn.init(spec, jax.random.key(0)), jnp.arange(10).reshape(2, 5)
    sums = jax.jit(lambda p: observe(lambda p: models.decoder(p, tokens, config, key=None), p, spec))(p)
    assert {path: one["rows"].tolist() for path, one in sums.items()} == {
        path: [10.0] * 3 for path in linear_maps("test", spec) if path.startswith("blocks/")
    } | {path: 10.0 for path in linear_maps("test", spec) if not path.startswith("blocks/")}
    q, k = (sums[f"blocks/attention/{name}/w"]["gram"] for name in "qk")
    np.testing.assert_array_equal(q, k)
    assert q.shape == (3, 8, 8)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_scales_are_those_of_all_inputs(rng):
    x = (rng.standard_t(3, size=20000) * 10 ** rng.uniform(-6, 6)).astype(np.float32)
    h, size = histogram(jnp.asarray(x)), np.abs(x).astype(np.float64)
    limit = lambda scale: 127 * float(scale)
    assert size.max() < limit(absmax_scale(h)) < size.max() * 1.02
    for percentile in (50.003, 99.003, 99.903):
        want = np.quantile(size, percentile / 100, method="inverted_cdf")
        assert want < limit(percentile_scale(h, percentile)) < want * 1.02
    error = lambda scale: np.square(np.clip(np.round(x / scale), -127, 127) * scale - x.astype(np.float64)).mean()
    best = min(error(size.max() / 127 * 2 ** (-i / 8)) for i in range(48))
    assert error(float(mse_scale(h))) < 1.05 * best
    cut = float(entropy_scale(h))
    assert 0 < cut <= float(absmax_scale(h))
    for scale in (absmax_scale, percentile_scale, mse_scale, entropy_scale):
        np.testing.assert_allclose(scale(3 * h), scale(h), rtol=1e-5)
        np.testing.assert_array_equal(scale(jnp.stack([h, h])), jnp.stack([scale(h)] * 2))


@pytest.mark.parametrize("scale", [absmax_scale, percentile_scale, mse_scale, entropy_scale])
def test_what_is_no_number_has_no_scale(scale):
    for bad in ([1.0, jnp.nan], [jnp.inf, 2.0]):
        assert jnp.isnan(scale(histogram(jnp.array(bad))))
    assert jnp.isnan(scale(jnp.zeros(2**14)))
    assert 0 < scale(histogram(jnp.zeros(3))) < 1e-30
    with pytest.raises(ValueError, match=r"expected a histogram \(..., 16384\), found float32\[3\]"):
        scale(jnp.ones(3))
    with pytest.raises(ValueError, match=r"expected a histogram \(..., 16384\), found dict"):
        scale({"histogram": jnp.zeros(2**14)})


def test_a_percentile_is_one():
    with pytest.raises(ValueError, match="percentile in"):
        percentile_scale(jnp.zeros(2**14), 101)
    with pytest.raises(ValueError, match=r"found 0\.9999\. Is it a share\? Of a hundred it is 99\.99"):
        percentile_scale(jnp.zeros(2**14), 0.9999)
