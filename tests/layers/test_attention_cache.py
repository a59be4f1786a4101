"""Cached attention: equal to the whole for every cut of a sequence, and to torch; full caches, dtypes, bad input."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import (
    alibi,
    attention,
    attention_cache,
    attention_spec,
    cached_attention,
    latent_attention_spec,
    latent_cache,
    paged_cache,
    rotary,
    sinusoidal_positions,
)
from tests.layers.attentions import attended, cuts, leaves_of, sight
from tests.oracle import assert_matches_torch, configurations

# Law 9: prefill = step by step = the whole, for every cut of a sequence of 5 into chunks.

T = 5
CUTS = [[*cut] for n in range(T) for cut in itertools.combinations(range(1, T), n)]
VARIANTS = {
    "causal": {"spec": attention_spec(8, 2)},
    "grouped": {"spec": attention_spec(8, 4, kv_heads=2, bias=False)},
    "rotary": {"spec": attention_spec(8, 2), "rotate": rotary},
    "window": {"spec": attention_spec(8, 2), "window": 3},
    "window-rotary-grouped": {"spec": attention_spec(8, 2, kv_heads=1), "window": 2, "rotate": rotary},
    "sinusoidal": {"spec": attention_spec(8, 2), "add": np.asarray(sinusoidal_positions(jnp.arange(T), 8))},
}


def cases():
    for name, variant in VARIANTS.items():
        window = variant.get("window")
        for length in (T, 9) if window is None else (window, window + 1, 9):
            often = length == T if window is None else name == "window" or length == window
            marks = [] if often else [pytest.mark.slow]
            yield pytest.param(variant, length, id=f"{name}-{length}", marks=marks)


@pytest.mark.parametrize(("variant", "length"), list(cases()))
def test_law_9_cached_equals_whole_for_every_cut(variant, length):
    p = init(variant["spec"], jax.random.key(0))
    options = {name: variant[name] for name in ("window", "rotate") if name in variant}
    x = np.random.default_rng(1).normal(size=(2, T, 8)).astype(np.float32) + variant.get("add", np.float32(0))
    whole = jax.jit(lambda x: attention(p, x, causal=True, **options))(x)
    step, empty = (
        jax.jit(lambda x, cache: cached_attention(p, x, cache, **options)),
        attention_cache(p, length, leading=(2,)),
    )
    for cut in CUTS:
        cache, rows = empty, []
        for chunk in np.split(x, cut, axis=1):
            y, cache = step(chunk, cache)
            rows.append(np.asarray(y))
        np.testing.assert_allclose(np.concatenate(rows, 1), whole, atol=2e-6, err_msg=f"cut at {cut}")


@pytest.mark.parametrize("rng", configurations(fast=[1]), ids=range(20))
def test_chunks_and_their_gradients_are_the_whole_in_torch(rng):
    """Of any cut; heads in groups, windows and rings, rotary, ALiBi, sinks, biases or none."""
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    t, d, g, r, half = rng.integers(1, 7, 5).tolist()
    window = int(rng.integers(1, 8)) if rng.integers(2) else None
    turned, sloped = rng.integers(0, 2, 2).astype(bool)
    more = {"bias": bool(rng.integers(2)), "sinks": bool(rng.integers(2))}
    leaves, tree = leaves_of(attention_spec(d, g * r, kv_heads=g, head=2 * half, **more), rng)
    length, cut = (t if window is None else window) + int(rng.integers(0, 3)), cuts(rng, t)
    slopes = alibi(g * r)

    def ours(x, *leaves):
        p, rows = tree.unflatten(leaves), []
        cache = attention_cache(p, length, leading=leading)
        how = {"window": window, "rotate": rotary if turned else None, "bias": slopes if sloped else None}
        for chunk in jnp.split(x, cut, -2):
            y, cache = cached_attention(p, chunk, cache, **how)
            rows.append(y)
        return jnp.concatenate(rows, -2)

    bias = torch.tensor(np.asarray(slopes(jnp.arange(t), jnp.arange(t)))) if sloped else 0
    how = {"rotate": turned, "seen": sight(t, window), "bias": bias}
    theirs = lambda x, *leaves: attended(tree.unflatten(leaves), x, **how)
    assert_matches_torch(ours, theirs, [rng.normal(size=(*leading, t, d)).astype(np.float32), *leaves])


@pytest.mark.parametrize("window", [None, 3])
def test_a_cache_of_8_bits_is_near_the_whole_and_as_near_for_every_cut(window):
    p, x = init(VARIANTS["grouped"]["spec"], jax.random.key(0)), jax.random.normal(jax.random.key(1), (2, T, 8))
    cached = jax.jit(lambda x, cache: cached_attention(p, x, cache, window=window, rotate=rotary))

    def run(cut):
        cache, rows = attention_cache(p, window or T, leading=(2,), dtype=jnp.int8), []
        for part in jnp.split(x, cut, 1):
            y, cache = cached(part, cache)
            rows.append(y)
        assert (cache["k"].dtype, cache["k_scales"].shape) == (jnp.int8, (2, window or T, 2, 1))
        return jnp.concatenate(rows, 1)

    whole = jax.jit(lambda x: attention(p, x, causal=True, window=window, rotate=rotary))(x)
    found = run([])
    assert 0 < abs(found - whole).max() < 0.02 * abs(whole).max()
    np.testing.assert_allclose(run([1, 2, 3, 4]), found, rtol=1e-5, atol=1e-5)


def test_a_cache_that_is_full_is_an_error_or_nan():
    p = init(attention_spec(4, 2), jax.random.key(0))
    x = jnp.ones((3, 4))
    _, cache = cached_attention(p, x, attention_cache(p, 5))
    with pytest.raises(ValueError, match="the cache holds 5 positions, and 3 more do not fit after 3"):
        cached_attention(p, x, cache)
    y, _ = jax.jit(cached_attention)(p, x, cache)
    assert np.isnan(y).all()


def test_a_cache_of_another_dtype_keeps_the_dtype_of_x():
    p = init(attention_spec(4, 2), jax.random.key(0))
    y, cache = cached_attention(p, jnp.ones((3, 4)), attention_cache(p, 5, dtype=jnp.bfloat16))
    assert (y.dtype, cache["k"].dtype) == (jnp.float32, jnp.bfloat16)


P = init(attention_spec(4, 2), jax.random.key(0))
X = jnp.ones((3, 5, 4))
CACHE = attention_cache(P, 9)
LATENT = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
TABLE = jnp.array([[0, 1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cached_attention(P, X, CACHE), ValueError, r"a cache with leading axes \(3,\)"),
        (lambda: cached_attention(P, X[0], attention_cache(P, 3), window=4), ValueError, r"window of 4 needs a cache"),
        (lambda: cached_attention(P, X[0], CACHE, window=0), ValueError, r"cached_attention: a window counts the rows"),
        (lambda: cached_attention(P, X[0].astype(int), CACHE), TypeError, r"cached_attention: expected floating-point"),
        (lambda: cached_attention(P, X[0, 0], CACHE), ValueError, r"cached_attention: expected an array of rank 2"),
        (lambda: attention_cache(P, 8.0), ValueError, r"attention_cache: expected length of 1 or more, found 8\.0"),
        (lambda: attention_cache(P, None), ValueError, r"attention_cache: expected length of 1 or more, found None"),
        (lambda: attention_cache(P, 8, leading=3), TypeError, r"the sizes of leading axes, such as \(8,\), found 3"),
        (lambda: attention_cache(P, 8, leading=(2.0,)), ValueError, r"each leading axis of 1 or more, found 2\.0"),
        (lambda: latent_cache(LATENT, -1), ValueError, r"latent_cache: expected length of 1 or more, found -1"),
        (lambda: paged_cache(P, 2, 4.0, TABLE), ValueError, r"paged_cache: expected page of 1 or more, found 4\.0"),
        (lambda: paged_cache(P, "2", 4, TABLE), ValueError, r"paged_cache: expected pages of 1 or more, found '2'"),
        (lambda: cached_attention(P, X[0, :, :3], CACHE), ValueError, r"cached_attention: its parameters expect"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [None, jnp.int8])
@pytest.mark.parametrize("window", [None, 3])
def test_a_layer_of_stacked_caches_is_that_layer_alone(window, dtype):
    p = init(attention_spec(8, 2), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, T, 8))
    alone = attention_cache(p, T, leading=(2,), dtype=dtype)
    stacked = jax.tree.map(lambda a: jnp.stack([a, a, a]), alone)
    step = jax.jit(lambda x, cache: cached_attention(p, x, cache, window=window))
    for chunk in (x[:, :2], x[:, 2:3], x[:, 3:]):
        y, alone = step(chunk, alone)
        at_layer, stacked = step(chunk, stacked | {"layer": jnp.array(1)})
        np.testing.assert_array_equal(at_layer, y)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b), {n: stacked[n] for n in alone}, alone)
    for name in alone:
        assert not jnp.any(stacked[name][::2]), "another layer was written"
