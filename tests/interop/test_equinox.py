"""Equinox modules as jnn's functions and back, against themselves under vmap in float64; trained on a mesh."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.interop.equinox import from_equinox, to_equinox
from jnn.layers import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.models import mlp, mlp_spec
from tests.interop.imported import KEY, assert_same, check_trains
from tests.oracle import configurations

IMAGES = np.random.default_rng(0).normal(size=(8, 2, 6, 6)).astype(np.float32)  # channels first, as Equinox has them
NOISE = jax.random.key(7)


class Net(eqx.Module):
    """Batch statistics in one of both modes, noise, and vectors of a spectral norm."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    spectral: eqx.nn.SpectralNorm
    layers: list
    attention: eqx.nn.MultiheadAttention
    shift: jax.Array

    def __init__(self, key, mode="batch", momentum=0.9):
        k1, k2, k3, k4, k5, k6 = jax.random.split(key, 6)
        self.conv, self.dropout = eqx.nn.Conv2d(2, 8, 3, padding=1, key=k1), eqx.nn.Dropout(0.25)
        self.norm = eqx.nn.BatchNorm(8, "batch", momentum=momentum, mode=mode)
        self.spectral = eqx.nn.SpectralNorm(eqx.nn.Linear(8, 8, key=k2), "weight", key=k3)
        self.layers = [eqx.nn.Linear(8, 16, key=k4), jax.nn.gelu, eqx.nn.Linear(16, 3, key=k5)]
        self.attention, self.shift = eqx.nn.MultiheadAttention(2, 8, key=k6), jnp.arange(3)

    def __call__(self, x, state, key=None):
        h, state = self.norm(self.conv(x), state)
        h, state = self.spectral(self.dropout(jax.nn.relu(h), key=key).mean((1, 2)), state)
        h = h + self.attention(h[None], h[None], h[None])[0]
        for layer in self.layers:
            h = layer(h)
        return h + self.shift, state


def random_module(rng, key):
    """Of rows of 6 numbers."""
    width, (k1, k2, k3) = int(rng.integers(1, 5)) * 2, jax.random.split(key, 3)
    norm = [eqx.nn.LayerNorm(width), eqx.nn.RMSNorm(width), eqx.nn.GroupNorm(2, width)][rng.integers(3)]
    bias, conv = (
        bool(rng.integers(2)),
        eqx.nn.Conv1d(1, 2, int(rng.integers(1, 4)), stride=int(rng.integers(1, 3)), key=k3),
    )
    layers = [
        eqx.nn.Linear(6, width, use_bias=bias, key=k1),
        norm,
        eqx.nn.Lambda(jax.nn.silu),
        eqx.nn.Lambda(lambda x: x[None]),
    ]
    layers = [*layers, conv] if width > 3 else layers
    size = jax.eval_shape(eqx.nn.Sequential(layers), jnp.ones(6)).size
    return eqx.nn.Sequential([*layers, eqx.nn.Lambda(jnp.ravel), eqx.nn.MLP(size, 3, 8, depth=1, key=k2)])


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_random_modules_are_themselves_under_vmap(rng):
    with jax.enable_x64(True):
        module, x = random_module(rng, KEY), jnp.asarray(rng.normal(size=(4, 6)))
        network = from_equinox(module)
        arrays, rest = eqx.partition(module, eqx.is_inexact_array)
        structure = jax.tree.structure(arrays)
        own = lambda p: eqx.combine(structure.unflatten([jnn.flatten(p)[path] for path in jnn.flatten(arrays)]), rest)
        assert_same(lambda p: network.function(p, x, key=None), lambda p: jax.vmap(own(p))(x), network.params)


@eqx.filter_jit
def _vmapped(module, x, state, keys):
    return jax.vmap(module, (0, None, 0), (0, None), axis_name="batch")(x, state, keys)


@pytest.mark.parametrize("mode", ["batch", "ema"])
def test_noise_and_statistics_are_arguments(mode):
    module, state = eqx.nn.make_with_state(Net)(KEY, mode)
    network = from_equinox(module, state)
    keys = jax.random.split(NOISE, len(IMAGES))
    wanted, changed = _vmapped(module, IMAGES, state, keys)
    y, seen = jax.jit(network.function)(network.params, IMAGES, key=NOISE)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    conv = jax.vmap(module.conv)(IMAGES)
    np.testing.assert_allclose(seen["batch_stats"]["norm"]["mean"], conv.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen["batch_stats"]["norm"]["var"], conv.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    later = from_equinox(module, jax.tree.map(lambda x: x, changed))  # zeros are not in theirs, either
    np.testing.assert_allclose(later.stats["batch_stats"]["norm"]["mean"], conv.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    quiet = eqx.nn.inference_mode(module)
    wanted, _ = _vmapped(quiet, IMAGES, changed, keys)
    how = {"key": None, "stats": later.stats, "memory": later.memory}
    evaluated, _ = jax.jit(later.function)(later.params, IMAGES, **how)
    np.testing.assert_allclose(evaluated, wanted, rtol=1e-4, atol=1e-5)


def test_it_is_drawn_and_trains_on_a_mesh_with_statistics_and_memory():
    network = from_equinox(eqx.nn.make_with_state(Net))
    drawn = jnn.init(network.spec["layers"], jnn.path_key(KEY, "layers"))["0"]["weight"]
    theirs, state = eqx.nn.make_with_state(Net)(jnn.path_key(KEY, "layers/0/weight"))
    np.testing.assert_allclose(drawn, theirs.layers[0].weight, rtol=1e-5, atol=1e-6)
    assert network.params is None
    network = from_equinox(theirs, state)
    assert "shift" not in network.spec
    axes = {path: param.axes for path, param in jnn.flatten(network.spec).items()}
    assert axes["conv/weight"] == ("channels_out", "channels_in", "y", "x")
    assert axes["attention/query_proj/weight"] == ("heads", "embed")
    assert axes["layers/0/weight"] == ("hidden", "embed")
    state = check_trains(network, network.params, IMAGES, steps=4)
    assert jax.tree.structure(state.memory) == jax.tree.structure(network.memory)
    assert state.memory != {}


ROWS = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)


def normed(p, x, stats=None, *, key):
    h, seen = batch_norm(p["norm"], x, stats and stats["norm"])
    return mlp(p["mlp"], h, rate=0.2, key=key), {"norm": seen}


def test_a_function_inside_equinox_is_the_function_and_trains():
    spec = {"norm": batch_norm_spec(8), "mlp": mlp_spec((8, 16, 3))}
    inside = eqx.nn.make_with_state(to_equinox)
    module, state = inside(spec, normed, key=KEY, stats={"norm": batch_norm_stats_spec(8)}, momentum=0.5)
    labels = jnp.arange(16) % 3

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def loss(module, state, key):
        logits, state = module(ROWS, state, key=key)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), state

    losses = []
    for i in range(10):
        (value, state), gradient = loss(module, state, jax.random.key(i))
        module = eqx.apply_updates(module, jax.tree.map(lambda g: -0.2 * g, gradient))
        losses.append(value.item())
    assert losses[-1] < losses[0]
    running = state.get(module.running)
    np.testing.assert_allclose(running["norm"]["mean"], ROWS.mean(0), rtol=1e-2, atol=1e-2)
    evaluated, _ = eqx.nn.inference_mode(module)(ROWS, state, key=NOISE)
    np.testing.assert_allclose(evaluated, normed(module.params, ROWS, running, key=None)[0], rtol=1e-5, atol=1e-6)


def test_bad_input_is_one_clear_error():
    with pytest.raises(TypeError, match="expected a module or what makes one of a key, found one of int"):
        from_equinox(lambda key: 3)
    with pytest.raises(TypeError, match="the module has a state, and none is given"):
        from_equinox(eqx.nn.make_with_state(Net)(KEY)[0])
    with pytest.raises(
        TypeError, match=r"expected a state as eqx\.nn\.make_with_state gives it, found ndarray\. An example"
    ):
        from_equinox(eqx.nn.Linear(2, 3, key=KEY), np.ones((4, 2)))
    with pytest.raises(ValueError, match="no path fits 'fc'"):
        from_equinox(eqx.nn.Linear(2, 3, key=KEY), axes={"fc": "out <- in"})
    network = from_equinox(eqx.nn.MLP(3, 2, 8, depth=1, key=KEY))
    with pytest.raises(ValueError, match=r"from_equinox: .* float32\[4,3\] for inputs\[0\], found float32\[4,5\]\."):
        network.function(network.params, jnp.ones((4, 5)), key=None)
    images = from_equinox(eqx.nn.Conv2d(2, 8, 3, key=KEY))
    with pytest.raises(ValueError, match=r"float32\[4,2,6,6\] for inputs\[0\], found float32\[4,3,6,6\]\."):
        images.function(images.params, jnp.ones((4, 3, 6, 6)), key=None)
