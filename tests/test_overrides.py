"""Replacements: in force within, none without, part of jit's key, undone by None."""

import jax
import jax.numpy as jnp
import pytest

from jnn.layers import attention, attention_spec, dot_product_attention
from jnn.overrides import overridden, override
from jnn.param import init


def zeros(q, k, v, mask=None, *, causal, window):
    return jnp.zeros_like(q)


def test_what_is_jitted_without_a_replacement_is_not_used_with_one():
    q = jnp.ones((4, 2, 3))
    jitted = jax.jit(lambda q: dot_product_attention(q, q, q))
    assert jitted(q).all()
    with override(dot_product_attention=zeros):
        assert not jitted(q).any()
    assert jitted(q).all()


def test_it_reaches_layers_within_scans_gradients_and_checkpoints():
    p, x = init(attention_spec(4, 2, bias=False), jax.random.key(0)), jnp.ones((3, 4))
    layer = jax.checkpoint(lambda x, _: (attention(p, x, causal=True), None))

    @override(dot_product_attention=zeros)
    def loss(x):
        return jax.lax.scan(layer, x, jnp.arange(2))[0].sum()

    assert not jax.jit(jax.grad(loss))(x).any()


def test_none_puts_the_layers_own_back_and_others_stay():
    with override(dot_product_attention=max, experts=max), override(dot_product_attention=None):
        assert overridden("dot_product_attention", min) is min
        assert overridden("experts", min) is max


def test_it_ends_when_an_error_leaves_it():
    with pytest.raises(KeyError), override(dot_product_attention=max):
        raise KeyError
    assert overridden("dot_product_attention", min) is min
