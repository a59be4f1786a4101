"""Biases by position: the papers' formulas in torch and NumPy, and bad input."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import alibi, alibi_slopes, relative_bias, relative_buckets


@pytest.mark.parametrize(("causal", "buckets", "furthest"), [(True, 32, 128), (False, 32, 128), (False, 10, 37)])
def test_buckets_are_the_formula_of_t5(causal, buckets, furthest):
    ahead = np.arange(-300, 301)
    n, offset = -torch.tensor(ahead), torch.zeros(len(ahead), dtype=torch.long)
    side = buckets
    if not causal:
        side //= 2
        offset = (n < 0).long() * side
        n = n.abs()
    n = n.clamp(min=0)
    exact = side // 2
    far = exact + (torch.log(n.double() / exact + 1e-12) / math.log(furthest / exact) * (side - exact) + 1e-9).long()
    expected = offset + torch.where(n < exact, n, far.clamp(max=side - 1))
    found = relative_buckets(jnp.asarray(ahead), buckets, causal=causal, furthest=furthest)
    np.testing.assert_array_equal(found, expected)
    table = np.random.default_rng(0).normal(size=(buckets, 3)).astype(np.float32)
    found = relative_bias(
        {"table": jnp.asarray(table)}, jnp.array([300]), jnp.arange(601), causal=causal, furthest=furthest
    )
    np.testing.assert_array_equal(found[:, 0], table[expected.numpy()].T)


def test_slopes_of_alibi_are_the_papers():
    np.testing.assert_array_equal(alibi_slopes(8), [2.0**-i for i in range(1, 9)])
    np.testing.assert_allclose(alibi_slopes(16), [2.0 ** (-i / 2) for i in range(1, 17)], rtol=1e-6)
    np.testing.assert_allclose(
        alibi_slopes(12), [2.0**-i for i in range(1, 9)] + [2.0 ** -(i - 0.5) for i in range(1, 5)], rtol=1e-6
    )
    np.testing.assert_array_equal(alibi(8)(jnp.array([5]), jnp.array([3, 5, 9]))[1, 0], [-0.5, 0, -1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: alibi(0), ValueError, r"alibi_slopes: expected a head at least, found 0"),
        (
            lambda: relative_bias({"table": jnp.ones((2, 3))}, jnp.arange(2), jnp.arange(2)),
            ValueError,
            r"relative_bias: expected 4 buckets at least",
        ),
        (
            lambda: relative_bias({"table": jnp.ones((8, 3))}, jnp.ones(2), jnp.arange(2)),
            TypeError,
            r"relative_bias: expected integers",
        ),
        (lambda: alibi(2)(jnp.ones(2), jnp.arange(2)), TypeError, r"alibi: expected integers, found float32\[2\]"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
