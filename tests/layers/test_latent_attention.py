"""Latent attention against the paper's formula in torch, whole and in chunks; full caches; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import (
    attention_cache,
    cached_latent_attention,
    latent_attention,
    latent_attention_spec,
    latent_cache,
    paged_cache,
)
from tests.layers.attentions import cuts, into, leaves_of, sight, turn, weighted
from tests.oracle import assert_matches_torch, configurations


def drawn(rng):
    """Parameters of random sizes, as leaves and their tree, and rows for them, in float64."""
    d, heads, latent, head, half, t = rng.integers(1, 6, 6).tolist()
    value = int(rng.integers(1, head + 2 * half + 1)) if rng.integers(2) else None
    q_latent = int(rng.integers(1, 6)) if rng.integers(2) else None
    spec = latent_attention_spec(
        d, heads, latent=latent + 1, head=head, turned=2 * half, value=value, q_latent=q_latent
    )
    leaves, tree = leaves_of(spec, rng)
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    return [rng.normal(size=(*leading, t, d)), *(leaf.astype(np.float64) for leaf in leaves)], tree


def formula(p, x, seen):
    """Of the heads' own keys and values."""
    rms = lambda p, x: x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * p["scale"]
    c, shared = rms(p["norm"], x @ p["latent"]["w"]), turn(x @ p["turned"]["w"])[..., None, :, :]
    q = into(p["q"], rms(p["q_norm"], x @ p["q_latent"]["w"]) if "q_latent" in p else x)
    k, v = into(p["k"], c), into(p["v"], c)
    q = torch.cat([q[..., : k.shape[-1]], turn(q[..., k.shape[-1] :])], -1)
    k = torch.cat([k, shared.expand(*k.shape[:-1], shared.shape[-1])], -1)
    return torch.einsum("...htk,hkd->...td", weighted(q, k, v, seen), p["o"]["w"])


def assert_is_the_formula(ours, arrays, tree, seen):
    theirs = lambda x, *leaves: formula(tree.unflatten(leaves), x, seen)
    with jax.enable_x64(True):
        assert_matches_torch(lambda x, *leaves: ours(tree.unflatten(leaves), x), theirs, arrays, tolerance=1e-9)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_latent_attention_is_the_papers_formula(rng):
    arrays, tree = drawn(rng)
    t, causal = arrays[0].shape[-2], bool(rng.integers(2))
    mask = rng.random((t, t)) < 0.7 if rng.integers(2) else np.ones((t, t), bool)
    mask |= np.eye(t, dtype=bool)
    ours = lambda p, x: latent_attention(p, x, causal=causal, mask=jnp.asarray(mask))
    assert_is_the_formula(ours, arrays, tree, mask & (sight(t) | (not causal)))


@pytest.mark.parametrize("rng", configurations(fast=[1]), ids=range(20))
def test_chunks_that_never_make_keys_are_the_formula_too(rng):
    arrays, tree = drawn(rng)
    *leading, t, _ = arrays[0].shape
    length, cut = t + int(rng.integers(0, 3)), cuts(rng, t)

    def ours(p, x):
        cache, rows = latent_cache(p, length, leading=tuple(leading)), []
        for chunk in jnp.split(x, cut, -2):
            y, cache = cached_latent_attention(p, chunk, cache)
            rows.append(y)
        return jnp.concatenate(rows, -2)

    assert_is_the_formula(ours, arrays, tree, sight(t))


X = jax.random.normal(jax.random.key(1), (3, 7, 8))
LATENT = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))


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
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
