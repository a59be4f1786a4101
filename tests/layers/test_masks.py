"""Masks: packed and padded rows equal the rows alone, in self- and cross-attention; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import init
from jnn.layers import attention, attention_spec, length_mask, rotary, segment_mask


@pytest.mark.parametrize("rotate", [None, rotary])
def test_packed_rows_equal_the_rows_alone(rotate):
    p = init(attention_spec(8, 2), jax.random.key(0))
    one, two = jax.random.normal(jax.random.key(1), (3, 8)), jax.random.normal(jax.random.key(2), (4, 8))
    run = lambda x, mask=None: attention(p, x, causal=True, mask=mask, rotate=rotate)

    @jax.jit
    def both(one, two):
        packed = run(jnp.concatenate([one, two]), segment_mask(jnp.array([0] * 3 + [1] * 4)))
        return packed, jnp.concatenate([run(one), run(two)])

    np.testing.assert_allclose(*both(one, two), atol=2e-6)


def test_packed_rows_attend_to_their_own_keys_in_cross_attention():
    p = init(attention_spec(8, 2), jax.random.key(0))
    rows = np.split(
        np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32), [1, 3, 6]
    )  # 1, 2, 3 and 4 of them

    @jax.jit
    def both(*rows):
        mask = segment_mask(jnp.array([0] + [1] * 2), jnp.array([0] * 3 + [1] * 4))
        packed = attention(p, jnp.concatenate(rows[:2]), jnp.concatenate(rows[2:]), mask=mask)
        return packed, jnp.concatenate([attention(p, x, kv) for x, kv in zip(rows[:2], rows[2:], strict=True)])

    np.testing.assert_allclose(*both(*rows), atol=2e-6)


def test_padded_rows_equal_the_rows_alone():
    p, x = init(attention_spec(8, 2), jax.random.key(0)), jax.random.normal(jax.random.key(1), (2, 5, 8))

    @jax.jit
    def both(x):
        padded = attention(p, x, mask=length_mask(jnp.array([3, 5]), 5))
        return (padded[0, :3], padded[1]), (attention(p, x[0, :3]), attention(p, x[1]))

    jax.tree.map(partial(np.testing.assert_allclose, atol=2e-6), *both(x))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: length_mask(jnp.ones(2), 3), TypeError, r"length_mask: expected integers"),
        (lambda: segment_mask(jnp.ones(2)), TypeError, r"segment_mask: expected integers"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
