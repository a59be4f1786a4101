"""Latent attention head by head in NumPy; paged attention of ragged sequences, full tables; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import init
from jnn.layers import (
    attention,
    attention_cache,
    attention_spec,
    cached_latent_attention,
    latent_attention,
    latent_attention_spec,
    latent_cache,
    paged_attention,
    paged_cache,
    rotary,
)


def rms(scale, x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def turn(x):
    """Rotary of (t, r): feature i with i + r / 2, as complex numbers."""
    t, r = x.shape
    z = (x[:, : r // 2] + 1j * x[:, r // 2 :]) * np.exp(1j * np.outer(np.arange(t), 1e4 ** (-np.arange(0, r, 2) / r)))
    return np.concatenate([z.real, z.imag], -1)


@pytest.mark.parametrize("q_latent", [None, 5])
def test_latent_attention_is_the_papers_formula_head_by_head(q_latent):
    with jax.enable_x64(True):
        spec = latent_attention_spec(8, 3, latent=6, head=4, turned=2, value=5, q_latent=q_latent, dtype=jnp.float64)
        p = init(spec, jax.random.key(0))
        x = np.random.default_rng(0).normal(size=(7, 8))
        found = latent_attention(p, jnp.asarray(x), causal=True)
        w = jax.tree.map(np.asarray, p)
    low = x if q_latent is None else rms(w["q_norm"]["scale"], x @ w["q_latent"]["w"])
    c, shared = rms(w["norm"]["scale"], x @ w["latent"]["w"]), turn(x @ w["turned"]["w"])
    expected = np.zeros((7, 8))
    for h in range(3):
        q = low @ w["q"]["w"][:, h]
        scores = (q[:, :4] @ (c @ w["k"]["w"][:, h]).T + turn(q[:, 4:]) @ shared.T) / 6**0.5
        weights = np.exp(np.where(np.tri(7) == 1, scores, -np.inf))
        expected += weights / weights.sum(-1, keepdims=True) @ (c @ w["v"]["w"][:, h]) @ w["o"]["w"][h]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


P = init(attention_spec(8, 2), jax.random.key(0))
X = jax.random.normal(jax.random.key(1), (3, 7, 8))
LATENT = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))


def test_sequences_of_other_lengths_share_pages_and_do_not_notice_each_other():
    """Chunks of 4 of which so many are there: the sequences grow unevenly, and lie anywhere in the pool."""
    table = jnp.array([[5, 0, 3, -1], [1, -1, -1, -1], [4, 2, 7, 6]])
    step = jax.jit(lambda x, cache, n: paged_attention(P, x, cache, lengths=n, rotate=rotary))
    whole = np.asarray(attention(P, X, causal=True, rotate=rotary))
    cache, done = paged_cache(P, 8, 2, table), np.zeros(3, int)
    for lengths in ([3, 1, 0], [0, 1, 4], [2, 0, 3]):
        chunk = np.stack([np.resize(row[at : at + 4], (4, 8)) for row, at in zip(np.asarray(X), done, strict=True)])
        y, cache = step(chunk, cache, jnp.array(lengths))
        for row, n in enumerate(lengths):
            np.testing.assert_allclose(y[row, :n], whole[row, done[row] : done[row] + n], atol=2e-6)
        done += lengths
    np.testing.assert_array_equal(cache["next"], done)
    y, cache = step(X[:, :4], cache, jnp.array([1, 1, 0]))  # the second has no page left, the first has
    assert np.isnan(y[1, 0]).all()
    assert np.isfinite(y[0]).all()


def test_what_others_left_in_the_pool_is_never_read():
    cache = paged_cache(P, 3, 2, jnp.array([[0, -1], [1, 2]]))
    left = cache | {name: jnp.full_like(cache[name], jnp.nan) for name in "kv"}
    run = jax.jit(lambda cache: paged_attention(P, X[:2, :1], cache)[0])
    np.testing.assert_array_equal(run(left), run(cache))


def test_a_full_latent_cache_is_an_error_or_nan():
    with pytest.raises(ValueError, match=r"the cache holds 5 positions, and 7 more do not fit"):
        cached_latent_attention(LATENT, X[0], latent_cache(LATENT, 5))
    assert np.isnan(jax.jit(cached_latent_attention)(LATENT, X[0], latent_cache(LATENT, 5))[0]).all()
    with pytest.raises(ValueError, match=r"Make it by latent_cache\(p, length, leading=\(3,\)\)"):
        cached_latent_attention(LATENT, X, latent_cache(LATENT, 9))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: latent_attention_spec(8, 2, latent=6, head=4, turned=2, value=7), ValueError, r"values of 6 or less"),
        (lambda: attention_cache(LATENT, 4), ValueError, r"^attention_cache: .* by latent_cache\(p, length\)"),
        (lambda: paged_cache(LATENT, 4, 2, jnp.array([[0]])), ValueError, r"^paged_cache: .* latent_cache\(p, len"),
        (lambda: paged_cache(P, 4, 2, jnp.array([[0, 4]])), ValueError, r"paged_cache: expected pages"),
        (lambda: paged_cache(P, 4, 2, jnp.ones((1, 2))), TypeError, r"paged_cache: expected integers"),
        (lambda: paged_attention(P, X, paged_cache(P, 4, 2, jnp.array([0]))), ValueError, r"leading axes \(3,\)"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
