"""Noise: what it keeps on average over many keys, what it drops together, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import layers

X = np.random.default_rng(0).normal(1, 2, (3, 4, 5, 2)).astype(np.float32)
RATE = 0.3
ELEMENTWISE = {
    "spatial_dropout": lambda x, key: layers.spatial_dropout(x, RATE, key=key),
    "token_dropout": lambda x, key: layers.token_dropout(x, RATE, key=key),
    "drop_path": lambda x, key: layers.drop_path(x, RATE, key=key, in_axes=3),
    "drop_connect": lambda x, key: layers.drop_connect({"w": x}, RATE, key=key)["w"],
    "gaussian_dropout": lambda x, key: layers.gaussian_dropout(x, RATE, key=key),
    "gaussian_noise": lambda x, key: layers.gaussian_noise(x, 0.7, key=key),
}
SHARED = {"spatial_dropout": (1, 2), "token_dropout": (3,), "drop_path": (1, 2, 3), "drop_connect": ()}


def over_keys(noise, x, n=4000):
    """Each element's mean and variance over many keys."""
    many = jax.vmap(lambda key: noise(x, key))(jax.random.split(jax.random.key(0), n))
    return jnp.mean(many, 0), jnp.var(many, 0)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_mean_over_keys_is_the_input_and_the_variance_dropouts(name):
    mean, var = jax.jit(lambda x: over_keys(ELEMENTWISE[name], x))(X)
    expected = np.full_like(X, 0.49) if name == "gaussian_noise" else X**2 * RATE / (1 - RATE)
    np.testing.assert_allclose(mean, X, atol=6 * np.sqrt(expected.max() / 4000))
    np.testing.assert_allclose(var, expected, rtol=0.2, atol=1e-6)


@pytest.mark.parametrize("name", SHARED)
def test_what_is_dropped_together(name):
    y = np.asarray(ELEMENTWISE[name](jnp.ones((8, 6, 5, 4)), jax.random.key(0)))
    values = np.unique(y)
    np.testing.assert_allclose(values, [0, 1 / (1 - RATE)], rtol=1e-5)
    axes = SHARED[name]
    np.testing.assert_array_equal(y.min(axes, keepdims=True) + np.zeros_like(y), y)
    alone = y.reshape(-1) if not axes else y.min(axes)
    for axis in range(alone.ndim):  # and nothing else is
        assert (alone.min(axis) != alone.max(axis)).any()


@pytest.mark.parametrize("shared", [(), (1, 2)], ids=["alpha", "feature alpha"])
def test_alpha_dropout_keeps_mean_and_variance(shared):
    x = jax.random.normal(jax.random.key(1), (400, 2, 2, 100))
    y = jax.jit(lambda x: layers.alpha_dropout(x, RATE, key=jax.random.key(0), shared_axes=shared))(x)
    np.testing.assert_allclose([y.mean(), y.var()], [0, 1], atol=0.02)
    of_one = layers.alpha_dropout(jnp.ones(x.shape), RATE, key=jax.random.key(0), shared_axes=shared)
    dropped = np.asarray(of_one < 0)  # SELU's minimum, moved and scaled with the rest
    np.testing.assert_allclose(dropped.mean(), RATE, atol=0.01)
    if shared:
        np.testing.assert_array_equal(dropped.all(shared), dropped.any(shared))
    assert abs(float(jax.nn.selu(-1e9)) + 1.7580993408473766) < 1e-6


def test_drop_block_drops_whole_blocks():
    block, shape = (3, 2), (2, 8, 9, 16)
    many = jax.jit(jax.vmap(lambda key: layers.drop_block(jnp.ones(shape), 0.2, block, key=key)))
    y = np.asarray(many(jax.random.split(jax.random.key(0), 20)))
    np.testing.assert_allclose(y.mean((2, 3, 4)), 1, rtol=1e-5)  # of each example
    gone = y == 0
    whole = np.lib.stride_tricks.sliding_window_view(gone, block, axis=(2, 3)).all((-1, -2))
    covered = np.zeros_like(gone)
    for i, j in np.ndindex(*block):
        covered[:, :, i : i + whole.shape[2], j : j + whole.shape[3]] |= whole
    np.testing.assert_array_equal(covered, gone)
    # a pixel that six blocks can reach is gone unless none begins
    begin = 0.2 * (8 * 9) / (3 * 2 * 6 * 8)
    np.testing.assert_allclose(gone[:, :, 3, 4].mean(), 1 - (1 - begin) ** 6, atol=0.04)


def test_draws_of_drop_connect_hang_on_their_paths():
    p = {"a": {"w": jnp.ones((8, 8))}, "b": jnp.ones((8, 8))}
    run = lambda p: layers.drop_connect(p, 0.5, key=jax.random.key(0))
    both = run(p)
    assert (both["a"]["w"] != both["b"]).any()
    np.testing.assert_array_equal(run({"b": p["b"]})["b"], both["b"])


def test_traced_rates():
    key = jax.random.key(0)
    calls = [
        lambda r: layers.drop_path(X, r, key=key, in_axes=3),
        lambda r: layers.gaussian_dropout(X, r, key=key),
        lambda r: layers.alpha_dropout(X, r, key=key),
        lambda r: layers.drop_block(X, r, (2, 2), key=key),
        lambda r: layers.gaussian_noise(X, r, key=key),
    ]
    both = jax.jit(lambda r: [(call(r), call(0.25)) for call in calls])
    for pair in both(0.25):
        np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-5)
    assert all(np.isnan(y).any() for y, _ in both(-0.5))


def test_a_traced_rate_of_16_bits_draws_as_finely_and_a_number_of_numpy_widens_no_dtype():
    key, x = jax.random.key(0), jnp.ones((200, 50, 20), jnp.bfloat16)
    keeps = lambda y: float(np.mean(np.asarray(y) != 0))
    call = jax.jit(lambda r: (layers.dropout(x, r, key=key), layers.drop_block(x, r, (1, 1), key=key)))
    for rate in (0.0039, 0.02, 0.13):
        rounded = float(jnp.bfloat16(rate))
        np.testing.assert_allclose([keeps(y) for y in call(rate)], 1 - rounded, atol=0.0025)
    for number in (np.float64(0.2), np.float32(0.2), jnp.float32(0.2)):
        assert layers.dropout(x, number, key=key).dtype == x.dtype


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: layers.spatial_dropout(X, 1.0, key=None),
            ValueError,
            r"spatial_dropout: expected rate \(of dropping\)",
        ),
        (lambda: layers.spatial_dropout(X[0, 0], 0.1, key=None), ValueError, r"expected an array of rank 3"),
        (lambda: layers.token_dropout(X, 0.1, key=0), TypeError, r"token_dropout: expected one PRNG key"),
        (lambda: layers.drop_path(X, -0.1, key=None, in_axes=3), ValueError, r"drop_path: expected rate"),
        (
            lambda: layers.drop_connect({"w": np.ones(3, int)}, 0.1, key=None),
            TypeError,
            r"drop_connect: expected floating",
        ),
        (lambda: layers.gaussian_dropout(X, 1.0, key=None), ValueError, r"gaussian_dropout: expected rate"),
        (lambda: layers.gaussian_noise(X, -1.0, key=None), ValueError, r"gaussian_noise: expected std >= 0, found -1"),
        (lambda: layers.alpha_dropout(X, 1.5, key=None), ValueError, r"alpha_dropout: expected rate"),
        (lambda: layers.drop_block(X, 0.1, (5, 5), key=None), ValueError, r"drop_block: a block \(5, 5\) does not fit"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
