"""Pools of points and attention by way of them: the formula in torch, orders of rows, padding, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from jnn import init
from jnn.layers import attention_pool, attention_pool_spec, induced_attention, induced_attention_spec, length_mask


def asked(p, x, kv):
    """Attention of x to kv by our parameters, in torch."""
    into = lambda name, a: torch.einsum("td,dhk->htk", a, p[name]["w"])
    y = scaled_dot_product_attention(into("q", x), into("k", kv), into("v", kv))
    return torch.einsum("htk,hkd->td", y, p["o"]["w"])


def test_rows_ask_what_points_have_asked_of_rows():
    p = init(induced_attention_spec(8, 2, 3, bias=False), jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    w = jax.tree.map(lambda a: torch.tensor(np.asarray(a)), p)
    pool = asked(w["pool"]["attention"], w["pool"]["points"], torch.tensor(x))
    np.testing.assert_allclose(attention_pool(p["pool"], jnp.asarray(x)), pool, atol=1e-5)
    found = induced_attention(p, jnp.asarray(x))
    np.testing.assert_allclose(found, asked(w["attention"], torch.tensor(x), pool), atol=1e-5)
    np.testing.assert_allclose(induced_attention(p, jnp.asarray(x[::-1])), found[::-1], atol=1e-5)


def test_a_pool_of_padded_rows_is_that_of_the_rows():
    p, x = init(attention_pool_spec(8, 2, 3, d_kv=4), jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 4))
    np.testing.assert_allclose(
        attention_pool(p, x, mask=length_mask(jnp.array(3), 5)), attention_pool(p, x[:3]), atol=1e-6
    )


def test_bad_input_is_one_clear_error():
    p = init(attention_pool_spec(8, 2, 3), jax.random.key(0))
    with pytest.raises(ValueError, match=r"attention_pool: expected params, a dict with 'points', 'attention'"):
        attention_pool(p["attention"], jnp.ones((5, 8)))
    with pytest.raises(ValueError, match=r"attention: kv: its parameters expect input \[...,8\]"):
        attention_pool(p, jnp.ones((5, 4)))
