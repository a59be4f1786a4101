"""Noise: what it keeps on average over many keys, what it drops together, and bad input."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import layers
from tests.oracle import configurations

X = np.random.default_rng(0).normal(1, 2, (3, 4, 5, 2)).astype(np.float32)
KEYS = 4000
random_ones = pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))


class Drawn(NamedTuple):
    """An array, a rate, and how many of its axes are an image's, or an example's."""

    x: np.ndarray
    rate: float
    inner: int


def drawn(rng):
    shape = rng.integers(2, 5, rng.integers(2, 5))
    x = rng.normal(1, 2, shape).astype(np.float32)
    return Drawn(x, float(rng.uniform(0.1, 0.8)), int(rng.integers(1, x.ndim)))


NOISES = {
    "dropout": lambda d, x, key: layers.dropout(x, d.rate, key=key),
    "spatial_dropout": lambda d, x, key: layers.spatial_dropout(x, d.rate, key=key, spatial=d.inner),
    "token_dropout": lambda d, x, key: layers.token_dropout(x, d.rate, key=key),
    "drop_path": lambda d, x, key: layers.drop_path(x, d.rate, key=key, in_axes=d.inner),
    "drop_connect": lambda d, x, key: layers.drop_connect({"w": x}, d.rate, key=key)["w"],
    "gaussian_dropout": lambda d, x, key: layers.gaussian_dropout(x, d.rate, key=key),
    "gaussian_noise": lambda d, x, key: layers.gaussian_noise(x, d.rate, key=key),
}
SHARED = {  # the axes that share a draw
    "dropout": lambda d: (),
    "spatial_dropout": lambda d: tuple(range(d.x.ndim - 1 - d.inner, d.x.ndim - 1)),
    "token_dropout": lambda d: (d.x.ndim - 1,),
    "drop_path": lambda d: tuple(range(d.x.ndim - d.inner, d.x.ndim)),
    "drop_connect": lambda d: (),
}


@pytest.mark.parametrize("name", NOISES)
@random_ones
def test_the_mean_over_keys_is_the_input_and_the_variance_dropouts(name, rng):
    """Within six deviations; the gradient is of the same draw."""
    d = drawn(rng)
    run = lambda x, key: NOISES[name](d, x, key)

    @jax.jit
    def moments(x):
        many = jax.vmap(lambda key: run(x, key))(jax.random.split(jax.random.key(rng.integers(99)), KEYS))
        y, back = jax.vjp(lambda x: run(x, jax.random.key(1)), x)
        return jnp.mean(many, 0), jnp.var(many, 0), y, back(jnp.ones_like(y))[0]

    mean, var, y, slope = moments(d.x)
    added = name == "gaussian_noise"
    expected = np.full_like(d.x, d.rate**2) if added else d.x**2 * d.rate / (1 - d.rate)
    both = d.rate * (1 - d.rate)
    excess = (
        2 if "gaussian" in name else (1 - 4 * both) / both
    )  # the fourth moment over the square of the second, less 1
    assert (abs(mean - d.x) <= 6 * np.sqrt(expected / KEYS) + 1e-5).all()
    np.testing.assert_allclose(var, expected, rtol=6 * np.sqrt(excess / KEYS) + 0.02, atol=1e-6)
    np.testing.assert_allclose(slope * (1 if added else d.x), d.x * 0 + 1 if added else y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SHARED)
@random_ones
def test_what_is_dropped_together(name, rng):
    d = drawn(rng)
    many = jax.jit(jax.vmap(lambda key: NOISES[name](d, jnp.ones(d.x.shape), key)))
    y = np.asarray(many(jax.random.split(jax.random.key(rng.integers(99)), 200)))
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - d.rate)], rtol=1e-5)
    axes = tuple(axis + 1 for axis in SHARED[name](d))
    alone = y.min(axes) if axes else y
    np.testing.assert_array_equal(np.expand_dims(alone, axes) + np.zeros_like(y), y)
    np.testing.assert_allclose((alone == 0).mean(), d.rate, atol=6 * (0.25 / alone.size) ** 0.5)
    for axis in range(alone.ndim):  # and nothing else is
        assert (alone.min(axis) != alone.max(axis)).any()


@random_ones
def test_alpha_dropout_is_the_papers_formula(rng):
    d = drawn(rng)
    shared = tuple(axis for axis in range(d.x.ndim) if rng.integers(3) == 0)
    least = float(jax.nn.selu(-1e9))
    x = np.where(abs(d.x - least) < 0.01, 0, d.x)
    run = lambda key: layers.alpha_dropout(x, d.rate, key=key, shared_axes=shared)
    y = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(rng.integers(99)), KEYS)))
    q = 1 - d.rate
    a = (q + least**2 * q * (1 - q)) ** -0.5
    b = -a * (1 - q) * least
    kept, gone = (np.isclose(y, a * v + b, rtol=1e-5, atol=1e-5) for v in (x, least))
    assert (kept ^ gone).all()
    np.testing.assert_allclose(gone.mean(0), d.rate, atol=6 * (0.25 / KEYS) ** 0.5)
    axes = tuple(axis + 1 for axis in shared)
    np.testing.assert_array_equal(gone.all(axes), gone.any(axes))


@pytest.mark.parametrize("shared", [(), (1, 2)], ids=["alpha", "feature alpha"])
def test_alpha_dropout_keeps_mean_and_variance(shared):
    x = jax.random.normal(jax.random.key(1), (400, 2, 2, 100))
    y = jax.jit(lambda x: layers.alpha_dropout(x, 0.3, key=jax.random.key(0), shared_axes=shared))(x)
    np.testing.assert_allclose([y.mean(), y.var()], [0, 1], atol=0.02)


@random_ones
def test_drop_block_drops_whole_blocks(rng):
    spatial = rng.integers(2, 7, rng.integers(1, 4))
    block, axes = tuple(int(rng.integers(1, n + 1)) for n in spatial), tuple(range(2, 2 + len(spatial)))
    x, rate = rng.normal(3, 0.5, (2, *spatial, 8)).astype(np.float32), float(rng.uniform(0.05, 0.6))
    many = jax.jit(jax.vmap(lambda key: layers.drop_block(x, rate, block, key=key)))
    y = np.asarray(many(jax.random.split(jax.random.key(rng.integers(99)), 60)))
    gone = y == 0
    left = (~gone).mean((*axes, y.ndim - 1), keepdims=True)
    np.testing.assert_allclose(y, np.where(gone, 0, x / np.where(left == 0, 1, left)), rtol=1e-5)
    whole = np.lib.stride_tricks.sliding_window_view(gone, block, axis=axes).all(tuple(range(-len(block), 0)))
    covered = np.zeros_like(gone)
    for at in np.ndindex(*block):
        there = (slice(i, i + whole.shape[a]) for i, a in zip(at, axes, strict=True))
        covered[(slice(None), slice(None), *there)] |= whole
    np.testing.assert_array_equal(covered, gone)
    # a pixel is gone unless none of the blocks that can reach it begins
    starts = [n - k + 1 for n, k in zip(spatial, block, strict=True)]
    reach = [np.convolve(np.ones(s), np.ones(k)) for s, k in zip(starts, block, strict=True)]
    begin = rate * np.prod([n / (k * s) for n, k, s in zip(spatial, block, starts, strict=True)])
    expected = 1 - (1 - begin) ** functools.reduce(np.multiply.outer, reach)
    n = 60 * 2 * 8
    assert (abs(gone.mean((0, 1, -1)) - expected) <= 6 * np.sqrt(expected * (1 - expected) / n) + 8 / n).all()


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
