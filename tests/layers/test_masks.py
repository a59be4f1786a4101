"""Masks: packed and padded rows equal the rows alone, in self- and cross-attention; bad input."""

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
    packed = run(jnp.concatenate([one, two]), segment_mask(jnp.array([0] * 3 + [1] * 4)))
    np.testing.assert_allclose(packed, jnp.concatenate([run(one), run(two)]), atol=2e-6)


def test_packed_rows_attend_to_their_own_keys_in_cross_attention():
    p = init(attention_spec(8, 2), jax.random.key(0))
    rows = [jax.random.normal(jax.random.key(n), (n, 8)) for n in (1, 2, 3, 4)]
    mask = segment_mask(jnp.array([0] + [1] * 2), jnp.array([0] * 3 + [1] * 4))
    packed = attention(p, jnp.concatenate(rows[:2]), jnp.concatenate(rows[2:]), mask=mask)
    alone = [attention(p, x, kv) for x, kv in zip(rows[:2], rows[2:], strict=True)]
    np.testing.assert_allclose(packed, jnp.concatenate(alone), atol=2e-6)


def test_padded_rows_equal_the_rows_alone():
    p, x = init(attention_spec(8, 2), jax.random.key(0)), jax.random.normal(jax.random.key(1), (2, 5, 8))
    padded = attention(p, x, mask=length_mask(jnp.array([3, 5]), 5))
    np.testing.assert_allclose(padded[0, :3], attention(p, x[0, :3]), atol=2e-6)
    np.testing.assert_allclose(padded[1], attention(p, x[1]), atol=2e-6)


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
