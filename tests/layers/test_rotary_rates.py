"""Rotary positions of other rates, parts and pairings: complex rotation, the papers' formulas, bad input."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import llama3_rates, rotary, rotary_rates, yarn_rates, yarn_scale
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
@pytest.mark.parametrize("interleaved", [True, False])
def test_a_part_of_each_head_is_turned_as_complex_numbers(rng, interleaved):
    t, h, n, rest = (int(i) for i in rng.integers(1, 6, 4))
    positions, rates = rng.integers(0, 100, t).astype(np.int32), rng.uniform(0, 1, n)
    x = rng.normal(size=(2, t, h, 2 * n + rest)).astype(np.float32)

    def turned(x):
        pairs = x[..., : 2 * n].unflatten(-1, (n, 2) if interleaved else (2, n))
        pairs = pairs if interleaved else pairs.transpose(-1, -2)
        turn = torch.polar(torch.full((t, 1, n), 1.5), torch.tensor(positions[:, None, None] * rates))
        y = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
        y = y if interleaved else y.transpose(-1, -2)
        return torch.cat([y.flatten(-2), x[..., 2 * n :]], -1)

    ours = lambda x: rotary(x, jnp.asarray(positions), rates=rates, interleaved=interleaved, scale=1.5)
    assert_matches_torch(ours, turned, [x])


def test_the_rates_of_a_base_are_those_that_rotary_takes_itself():
    x = jax.random.normal(jax.random.key(0), (5, 2, 8))
    given = rotary(x, jnp.arange(5), rates=rotary_rates(8, base=100.0))
    np.testing.assert_allclose(given, rotary(x, jnp.arange(5), base=100.0), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "base", "factor", "context"), [(128, 5e5, 8.0, 8192), (64, 5e5, 32.0, 8192), (8, 1e4, 3.0, 50)]
)
def test_llama3_is_the_published_rule_pair_by_pair(size, base, factor, context):
    found = llama3_rates(size, base=base, factor=factor, context=context)
    for i in range(size // 2):
        rate = 1.0 / base ** (2 * i / size)
        length = 2 * math.pi / rate
        if length < context / 4.0:
            expected = rate
        elif length > context / 1.0:
            expected = rate / factor
        else:
            smooth = (context / length - 1.0) / (4.0 - 1.0)
            expected = (1 - smooth) * rate / factor + smooth * rate
        assert found[i] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "base", "factor", "context"), [(64, 1e4, 40.0, 4096), (128, 1e4, 16.0, 4096), (8, 1e4, 3.0, 50)]
)
def test_yarn_is_the_papers_rule_pair_by_pair(size, base, factor, context):
    """A pair turns r times in the context: from 32 on it is not slowed, up to 1 it is by the factor."""
    turns = [context / (2 * math.pi * base ** (2 * i / size)) for i in range(size // 2)]
    first = max([i for i in range(size // 2) if turns[i] >= 32], default=0)
    beyond = [i for i in range(size // 2) if turns[i] <= 1]
    last = min(beyond) if beyond else None
    for i, found in enumerate(yarn_rates(size, base=base, factor=factor, context=context)):
        rate = base ** (-2 * i / size)
        if i <= first:
            expected = rate
        elif last is not None and i >= last:
            expected = rate / factor
        elif last is not None:
            slowed = (i - first) / (last - first)
            expected = rate * (1 - slowed) + rate / factor * slowed
        else:
            continue
        assert found == pytest.approx(expected, rel=1e-9)
    assert yarn_scale(factor) == pytest.approx(1 + math.log(factor) / 10)


X = jnp.ones((4, 2, 6))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rotary(X, jnp.arange(4), rates=np.ones(4)), ValueError, r"rotary: expected 1 to 3 rates"),
        (lambda: rotary(X, jnp.arange(4), rates=np.ones((1, 2))), ValueError, r"rotary: expected 1 to 3 rates"),
        (lambda: rotary_rates(3), ValueError, r"rotary_rates: pairs of features need an even size, found 3"),
        (
            lambda: llama3_rates(4, factor=0.5, context=9),
            ValueError,
            r"llama3_rates: expected a finite factor of 1 or more",
        ),
        (lambda: llama3_rates(4, factor=2, context=9, low=4), ValueError, r"llama3_rates: expected 0 < low < high"),
        (lambda: yarn_rates(4, factor=2, context=9, fast=1), ValueError, r"yarn_rates: expected 0 < slow < fast"),
        (lambda: yarn_scale(0.5), ValueError, r"yarn_scale: expected a finite factor of 1 or more"),
        (lambda: yarn_scale(np.nan), ValueError, r"yarn_scale: expected a finite factor of 1 or more.* found nan"),
        (lambda: rotary_rates(4, base=0), ValueError, r"rotary_rates: expected a positive, finite base, found 0"),
        (lambda: yarn_rates(4, base=1, factor=2, context=9), ValueError, r"yarn_rates: expected a base over 1"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
