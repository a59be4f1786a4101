"""mlp against torch and Flax, dropout where it belongs, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.models import mlp, mlp_spec
from tests.oracle import assert_matches_torch, configurations

ACTIVATIONS = [(jax.nn.relu, torch.relu), (jnp.tanh, torch.tanh), (jax.nn.sigmoid, torch.sigmoid)]


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 5, 11)), ids=range(20))
def test_matches_torch(rng):
    sizes = rng.integers(1, 8, rng.integers(2, 6)).tolist()
    ours, theirs = ACTIVATIONS[rng.integers(3)]
    pairs = [(sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
    weights = [rng.normal(size=s).astype(np.float32) for s in pairs]
    biases = [rng.normal(size=s[1:]).astype(np.float32) for s in pairs]
    layers = len(pairs)

    def reference(x, *arrays):
        for i, (w, b) in enumerate(zip(arrays[:layers], arrays[layers:], strict=True)):
            x = torch.nn.functional.linear(x, w.T, b)
            x = theirs(x) if i < layers - 1 else x
        return x

    def ours_of(x, *arrays):
        p = {f"fc{i}": {"w": arrays[i], "b": arrays[layers + i]} for i in range(layers)}
        return mlp(p, x, key=None, activation=ours)

    assert_matches_torch(ours_of, reference, [rng.normal(size=(4, sizes[0])).astype(np.float32), *weights, *biases])


def test_matches_flax_with_more_than_ten_layers():
    sizes = [5] * 13
    p = init(mlp_spec(sizes), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (3, 5))
    h = x
    for i in range(12):
        layer = {"params": {"kernel": p[f"fc{i}"]["w"], "bias": p[f"fc{i}"]["b"]}}
        h = flax.linen.Dense(5).apply(layer, h)
        h = jax.nn.relu(h) if i < 11 else h
    np.testing.assert_allclose(mlp(p, x, key=None), h, rtol=1e-4, atol=1e-5)


def test_rates_are_one_for_each_hidden_layer():
    p = init(mlp_spec((4, 50, 60, 3)), jax.random.key(0))
    x, key = jnp.ones((2, 4)), jax.random.key(1)
    hidden = lambda rate: jax.jit(lambda key: mlp(p, x, key=key, rate=rate))
    np.testing.assert_array_equal(hidden((0.0, 0.0))(key), hidden(0.9)(None))
    both = [hidden(rates)(key) for rates in ((0.5, 0.0), (0.0, 0.5), 0.5, (0.5, 0.5))]
    assert not np.allclose(both[0], both[1])
    np.testing.assert_array_equal(both[2], both[3])


def test_a_hidden_map_starts_at_he_and_the_last_at_lecun():
    p = init(mlp_spec((256, 256, 256)), jax.random.key(0))
    np.testing.assert_allclose([p["fc0"]["w"].var() * 256, p["fc1"]["w"].var() * 256], [2, 1], rtol=0.05)
    given = init(mlp_spec((3, 3, 3), init=jax.nn.initializers.ones), jax.random.key(0))
    np.testing.assert_array_equal(given["fc0"]["w"], 1)


@pytest.mark.parametrize(
    ("x", "rate", "error", "message"),
    [
        (jnp.ones((4, 3)), 0.0, ValueError, r"linear: its parameters expect input \[...,5\], found float32\[4,3\]"),
        (jnp.ones((4, 5), jnp.int32), 0.0, TypeError, r"linear: expected floating-point input"),
        (jnp.ones((0, 5)), 0.0, ValueError, r"linear: expected at least one example"),
        (jnp.ones((4, 5)), (0.1, 0.1), ValueError, r"mlp: expected one dropout rate, or one for each of 1 hidden"),
        (jnp.ones((4, 5)), 1.0, ValueError, r"dropout: expected rate \(of dropping\) in"),
    ],
)
def test_bad_input_is_one_clear_error(x, rate, error, message):
    with pytest.raises(error, match=message):
        mlp(init(mlp_spec((5, 4, 2)), jax.random.key(0)), x, key=None, rate=rate)


def test_a_forgotten_key_and_a_single_size_are_errors():
    p = init(mlp_spec((5, 2)), jax.random.key(0))
    with pytest.raises(TypeError, match="key"):
        mlp(p, jnp.ones((4, 5)))
    with pytest.raises(ValueError, match=r"mlp_spec: expected the sizes of input and output at least, found \(5,\)"):
        mlp_spec((5,))
