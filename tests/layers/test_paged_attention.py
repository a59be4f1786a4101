"""Paged attention of sequences that grow unevenly, against torch; full tables, pages of others; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import attention, attention_spec, paged_attention, paged_cache, rotary
from tests.layers.attentions import attended, leaves_of, sight
from tests.oracle import assert_matches_torch, configurations


def uneven(rng, lengths, t):
    """Steps of at most t rows, of each sequence some or none, until all of them have come."""
    left = lengths.copy()
    while left.any():
        now = np.minimum(rng.integers(0, t + 1, len(left)), left)
        yield now
        left = left - now


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_chunks_of_any_length_and_their_gradients_are_the_whole_in_torch(rng):
    """Pages of any size anywhere in the pool, in any order; heads in groups; windows; behind a chunk what is not."""
    b, t, d, g, r, half, page = rng.integers(1, 5, 7).tolist()
    window, turned = int(rng.integers(1, 6)) if rng.integers(2) else None, bool(rng.integers(2))
    lengths = rng.integers(1, 7, b)
    each = -(-7 // page)
    table = rng.permutation(b * each + 2)[: b * each].reshape(b, each)
    table = jnp.asarray(np.where(np.arange(each) * page < lengths[:, None], table, -1))
    more = {"bias": bool(rng.integers(2)), "sinks": bool(rng.integers(2))}
    leaves, tree = leaves_of(attention_spec(d, g * r, kv_heads=g, head=2 * half, **more), rng)
    steps = list(uneven(rng, lengths, t))

    def ours(x, *leaves):
        p, rows, done = tree.unflatten(leaves), [[] for _ in range(b)], np.zeros(b, int)
        cache = paged_cache(p, b * each + 2, page, table)
        padded = jnp.pad(x, ((0, 0), (0, t), (0, 0)), constant_values=9.0)
        for n in steps:
            chunk = jnp.stack([padded[i, at : at + t] for i, at in enumerate(done)])
            how = {"lengths": jnp.asarray(n), "window": window, "rotate": rotary if turned else None}
            y, cache = paged_attention(p, chunk, cache, **how)
            for i in range(b):
                rows[i].append(y[i, : n[i]])
            done += n
        return jnp.concatenate([row for of_one in rows for row in of_one])

    def theirs(x, *leaves):
        y = attended(tree.unflatten(leaves), x, rotate=turned, seen=sight(6, window))
        return torch.cat([row[:n] for row, n in zip(y, lengths, strict=True)])

    assert_matches_torch(ours, theirs, [rng.normal(size=(b, 6, d)).astype(np.float32), *leaves])


P = init(attention_spec(8, 2), jax.random.key(0))
X = jax.random.normal(jax.random.key(1), (3, 7, 8))


def test_a_sequence_without_a_page_left_is_nan_and_no_other_notices():
    cache = paged_cache(P, 3, 2, jnp.array([[0, 1], [2, -1]]))
    step = jax.jit(lambda x, cache: paged_attention(P, x, cache, rotate=rotary))
    y, cache = step(X[:2, :2], cache)
    assert np.isfinite(y).all()
    y, cache = step(X[:2, 2:4], cache)
    assert np.isnan(y[1]).all()
    np.testing.assert_allclose(y[0], attention(P, X[0, :4], causal=True, rotate=rotary)[2:], atol=2e-6)
    np.testing.assert_array_equal(cache["next"], [4, 4])


def test_a_page_that_the_pool_does_not_have_is_none():
    cache = paged_cache(P, 3, 2, jnp.array([[0], [1]])) | {"table": jnp.array([[0], [3]], jnp.int32)}
    y, cache = jax.jit(lambda x, cache: paged_attention(P, x, cache))(X[:2, :2], cache)
    assert np.isnan(y[1]).all()
    np.testing.assert_allclose(y[0], attention(P, X[0, :2], causal=True), atol=2e-6)
    assert all(not cache[name][1:].any() for name in "kv")


def test_what_others_left_in_the_pool_is_never_read():
    cache = paged_cache(P, 3, 2, jnp.array([[0, -1], [1, 2]]))
    left = cache | {name: jnp.full_like(cache[name], jnp.nan) for name in "kv"}
    run = jax.jit(lambda cache: paged_attention(P, X[:2, :1], cache)[0])
    np.testing.assert_array_equal(run(left), run(cache))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: paged_cache(P, 4, 2, jnp.array([[0, 4]])), ValueError, r"paged_cache: expected pages"),
        (lambda: paged_cache(P, 4, 2, jnp.ones((1, 2))), TypeError, r"paged_cache: expected integers"),
        (lambda: paged_attention(P, X, paged_cache(P, 4, 2, jnp.array([0]))), ValueError, r"leading axes \(3,\)"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
