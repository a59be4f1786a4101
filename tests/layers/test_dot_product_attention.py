"""Softmax attention against torch under any mask, in both formulations; queries that see nothing; float32 inside."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from jnn import backend
from jnn.layers import dot_product_attention
from tests.oracle import assert_matches_torch, configurations


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 3, 7, 8)), ids=range(20))
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_attend_matches_torch_under_any_mask_with_or_without_leading_axes(rng, platform):
    leading = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
    t, s, g, r, k = (int(n) for n in rng.integers(1, 5, 5))
    mask = rng.random((*(leading if rng.integers(2) else ()), t, s)) < 0.7
    mask[..., 0] = True  # torch has no answer for an empty row
    arrays = [normal(rng, *leading, t, g * r, k), normal(rng, *leading, s, g, k), normal(rng, *leading, s, g, k)]

    def theirs(q, keys, values):
        q, keys, values = (a.transpose(-3, -2) for a in (q, keys, values))
        keys, values = (a.repeat_interleave(r, -3) for a in (keys, values))
        return scaled_dot_product_attention(q, keys, values, torch.tensor(mask).unsqueeze(-3)).transpose(-3, -2)

    with backend.target(platform):
        assert_matches_torch(lambda *a: dot_product_attention(*a, jnp.asarray(mask)), theirs, arrays)


@pytest.mark.parametrize("platform", ["tpu", "gpu"])
def test_in_double_precision_every_backend_has_all_digits(platform):
    q, k, v = np.random.default_rng(0).normal(size=(3, 4, 2, 6))
    with jax.enable_x64(True):
        expected = dot_product_attention(q, k, v, causal=True)
        with backend.target(platform):
            found = dot_product_attention(q, k, v, causal=True)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_a_query_that_may_attend_to_nothing_gets_zeros_and_gives_no_gradient(platform):
    q, k, v = jax.random.normal(jax.random.key(0), (3, 4, 2, 6))
    mask = jnp.array([[True] * 4, [False] * 4, [True, False, False, False], [False] * 4])

    @jax.jit
    def run(q, k, v):
        grads = jax.grad(lambda *a: jnp.sum(dot_product_attention(*a, mask) ** 2), (0, 1, 2))(q, k, v)
        alone = jax.grad(lambda v: jnp.sum(dot_product_attention(q[1:2], k, v, mask[1:2]) ** 2))(v)
        return dot_product_attention(q, k, v, mask), grads, alone

    with backend.target(platform):
        y, grads, alone = jax.tree.map(np.asarray, run(q, k, v))
    np.testing.assert_array_equal(y[[1, 3]], 0)
    np.testing.assert_allclose(y[2], v[0], rtol=1e-6)
    assert all(np.isfinite(g).all() for g in grads)
    np.testing.assert_array_equal(alone, 0)


def test_softmax_is_in_float32():
    q, k, v = jax.random.normal(jax.random.key(0), (3, 64, 1, 16))
    low = dot_product_attention(*(a.astype(jnp.bfloat16) for a in (8 * q, k, v)))
    exact = dot_product_attention(*(a.astype(jnp.bfloat16).astype(jnp.float32) for a in (8 * q, k, v)))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), exact, atol=0.04)
