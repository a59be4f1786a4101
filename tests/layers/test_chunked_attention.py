"""Scores with a bias, a cap, sinks and dropout, plain and in chunks: against torch; memory; both modes; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import alibi, chunked_attention, dot_product_attention
from tests.oracle import assert_matches_torch, configurations

WAYS = {"plain": dot_product_attention, "chunked": partial(chunked_attention, chunk=3)}


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rng", configurations(fast=(0, 3)), ids=range(20))
@pytest.mark.parametrize("attend", WAYS.values(), ids=WAYS)
def test_bias_cap_and_sinks_are_the_formula_in_torch(attend, rng):
    leading = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
    t, s, g, r, k = (int(n) for n in rng.integers(1, 8, 5))
    h, causal, window = g * r, bool(rng.integers(2)), int(rng.integers(1, 9)) if rng.integers(2) else None
    cap = 3.0 if rng.integers(2) else None
    mask = rng.random((*(leading if rng.integers(2) else ()), t, 1 if rng.integers(4) == 0 else s)) < 0.8
    bias_shape = [(t, s), (h, t, s), (h, 1, s), (*leading, 1, t, s)][rng.integers(4)]
    arrays = [normal(rng, *leading, n, heads, k) for n, heads in ((t, h), (s, g), (s, g))]
    arrays += [normal(rng, *bias_shape), normal(rng, h)]
    apart = np.arange(t)[:, None] - np.arange(s)
    seen = (mask[..., None, :, :] if mask.ndim > 2 else mask) & ((apart >= 0) | (not causal))
    seen = torch.tensor(seen & (np.abs(apart) < (window or 99)))

    def theirs(q, keys, values, bias, sinks):
        keys, values = (a.repeat_interleave(r, -2) for a in (keys, values))
        scores = torch.einsum("...thk,...shk->...hts", q, keys) / k**0.5
        scores = (scores if cap is None else cap * torch.tanh(scores / cap)) + bias
        weights = torch.where(seen, scores.exp(), 0.0)
        total = weights.sum(-1, keepdim=True) + sinks.exp()[:, None, None]
        return torch.einsum("...hts,...shk->...thk", weights / total, values)

    ours = lambda q, k, v, bias, sinks: attend(
        q, k, v, jnp.asarray(mask), causal=causal, window=window, bias=bias, sinks=sinks, cap=cap
    )
    assert_matches_torch(ours, theirs, arrays)


def test_chunks_have_every_derivative_of_the_whole_in_float64():
    with jax.enable_x64(True):
        q, k, v, dq, dk = (jnp.asarray(x) for x in np.random.default_rng(0).normal(size=(5, 7, 2, 4)))
        slope = jnp.asarray(0.3)

        def derivatives(attend):
            biased = lambda q, k, slope: attend(q, k, v, causal=True, bias=lambda i, j: slope * alibi(2)(i, j), cap=4.0)
            forward = lambda q, k, slope: jax.jvp(biased, (q, k, slope), (dq, dk, slope))
            return forward(q, k, slope), jax.grad(lambda *a: jnp.sum(forward(*a)[1] ** 2), (0, 1, 2))(q, k, slope)

        chunks, whole = jax.jit(lambda: [derivatives(attend) for attend in (WAYS["chunked"], WAYS["plain"])])()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), chunks, whole)


def test_memory_grows_with_the_length_and_not_with_its_square():
    def peak(attend, t):
        loss = lambda q, k, v: jnp.sum(attend(q, k, v, causal=True, bias=alibi(2)) ** 2)
        shape = jax.ShapeDtypeStruct((t, 2, 16), jnp.float32)
        compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(shape, shape, shape).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    chunked = partial(chunked_attention, chunk=128)
    short, long = peak(chunked, 2048), peak(chunked, 4096)
    assert long < 2.2 * short
    assert long < 0.2 * peak(dot_product_attention, 4096)
    assert long < 12 * 4096 * 2 * 128 * 4  # a dozen arrays of t times a chunk


@pytest.mark.parametrize("attend", WAYS.values(), ids=WAYS)
def test_dropout_keeps_the_mean_and_its_gradient_is_of_the_same_draw(attend):
    q, k, v = jax.random.normal(jax.random.key(0), (3, 6, 2, 4))
    noisy = lambda key, v: attend(q, k, v, rate=0.5, key=key)

    @jax.jit
    def many(v):
        draws = jax.vmap(noisy, (0, None))(jax.random.split(jax.random.key(1), 4000), v)
        key = jax.random.key(2)
        pulled = jax.grad(lambda v: jnp.sum(noisy(key, v)))(v)  # linear in v: the sum is the pairing with its gradient
        return draws.mean(0), dot_product_attention(q, k, v), jnp.sum(pulled * v), jnp.sum(noisy(key, v))

    mean, silent, paired, total = many(v)
    np.testing.assert_allclose(mean, silent, atol=0.08)
    np.testing.assert_allclose(paired, total, rtol=1e-4)


Q, K = jnp.ones((5, 4, 2)), jnp.ones((6, 2, 2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bias": jnp.ones((3, 5, 6))}, ValueError, r"expected a bias of \(4, 5, 6\)"),
        ({"bias": jnp.ones((5, 6), int)}, TypeError, r"expected a bias of floats, found int32\[5,6\]"),
        ({"sinks": jnp.ones(2)}, ValueError, r"expected sinks \(4,\)"),
        ({"cap": 0.0}, ValueError, r"expected cap above 0, found 0.0"),
        ({"rate": 0.1}, ValueError, r"a rate of dropout needs a key"),
        ({"rate": 1.0, "key": jax.random.key(0)}, ValueError, r"rate \(of dropping\) in \[0, 1\)"),
        ({"window": 0}, ValueError, r"a window counts the rows"),
    ],
)
def test_bad_input_is_one_clear_error(options, error, message):
    for attend in WAYS.values():
        with pytest.raises(error, match=message):
            attend(Q, K, K, **options)
    with pytest.raises(ValueError, match=r"chunked_attention: expected a positive chunk"):
        chunked_attention(Q, K, K, chunk=0)
