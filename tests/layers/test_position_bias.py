"""Biases by position: the papers' formulas in torch and NumPy, and bad input."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import alibi, alibi_slopes, relative_bias, relative_buckets
from tests.oracle import assert_matches_torch, configurations


def formula_of_t5(ahead, buckets, causal, furthest):
    n, offset, side = -torch.tensor(ahead), 0, buckets
    if not causal:
        side //= 2
        offset = (n < 0).long() * side
        n = n.abs()
    n = n.clamp(min=0)
    exact = side // 2
    far = exact + (torch.log(n.double() / exact + 1e-12) / math.log(furthest / exact) * (side - exact) + 1e-9).long()
    return offset + torch.where(n < exact, n, far.clamp(max=side - 1))


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_buckets_are_the_formula_of_t5(rng):
    """Of all distances; and the numbers that they stand for, with their gradients, of any queries and keys."""
    causal, buckets, heads = bool(rng.integers(2)), int(rng.integers(4, 40)), int(rng.integers(1, 5))
    furthest = int((buckets if causal else buckets // 2) // 2 + rng.integers(1, 150))
    ahead, how = np.arange(-300, 301), {"causal": causal, "furthest": furthest}
    found = relative_buckets(jnp.asarray(ahead), buckets, **how)
    np.testing.assert_array_equal(found, formula_of_t5(ahead, buckets, **how))
    queries, keys = (rng.integers(0, 200, rng.integers(1, 9)) for _ in range(2))
    bucket = formula_of_t5(keys - queries[:, None], buckets, **how)
    assert_matches_torch(
        lambda table: relative_bias({"table": table}, jnp.asarray(queries), jnp.asarray(keys), **how),
        lambda table: table[bucket].movedim(-1, 0),
        [rng.normal(size=(buckets, heads)).astype(np.float32)],
    )


def slopes_of_the_paper(heads):
    """A geometric sequence where they are a power of two; else that of the power below, and of the one above some."""
    below = 2 ** math.floor(math.log2(heads))
    own = (2.0 ** (-8 / below)) ** np.arange(1, below + 1)
    return own if below == heads else np.concatenate([own, slopes_of_the_paper(2 * below)[::2][: heads - below]])


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_slopes_of_alibi_are_the_papers(rng):
    heads = int(2 ** rng.integers(0, 6) if rng.integers(2) else rng.integers(1, 50))
    queries, keys = (rng.integers(0, 200, rng.integers(1, 9)) for _ in range(2))
    expected = slopes_of_the_paper(heads)
    np.testing.assert_allclose(alibi_slopes(heads), expected, rtol=1e-6)
    found = alibi(heads)(jnp.asarray(queries), jnp.asarray(keys))
    np.testing.assert_allclose(found, -expected[:, None, None] * abs(queries[:, None] - keys), rtol=1e-6)


def test_slopes_of_twelve_heads_are_those_of_eight_and_every_other_of_sixteen():
    np.testing.assert_array_equal(alibi_slopes(8), [2.0**-i for i in range(1, 9)])
    np.testing.assert_allclose(
        alibi_slopes(12), [2.0**-i for i in range(1, 9)] + [2.0 ** -(i - 0.5) for i in range(1, 5)], rtol=1e-6
    )


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
