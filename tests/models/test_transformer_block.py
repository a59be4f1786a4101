"""Transformer blocks against torch's: encoder and decoder, pre- and post-norm; parallel by its formula; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import (
    attention,
    attention_spec,
    cross_attention,
    cross_cache,
    feed_forward,
    layer_norm,
    rms_norm,
)
from jnn.models import parallel, post_norm, pre_norm, transformer_block, transformer_block_spec

D, HEADS, HIDDEN = 8, 2, 12


def attention_of(theirs):
    """Our params from torch's attention."""
    inward = zip("qkv", theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
    into = {n: {"w": w.T.reshape(D, HEADS, -1), "b": b.reshape(HEADS, -1)} for n, w, b in inward}
    out = theirs.out_proj
    return into | {"o": {"w": out.weight.T.reshape(HEADS, -1, D), "b": out.bias}}


def params_of(theirs, decoder):
    norms = ["norm1", "norm_cross", "norm2"] if decoder else ["norm1", "norm2"]
    p = {
        name: {"scale": n.weight, "bias": n.bias}
        for name, n in zip(norms, (theirs.norm1, theirs.norm2, getattr(theirs, "norm3", None)), strict=False)
    }
    p |= {name: {"w": m.weight.T, "b": m.bias} for name, m in (("up", theirs.linear1), ("down", theirs.linear2))}
    p["attention"] = attention_of(theirs.self_attn)
    if decoder:
        p["cross"] = attention_of(theirs.multihead_attn)
    return jax.tree.map(lambda a: jnp.asarray(a.detach().numpy()), p)


@pytest.mark.parametrize("first", [True, False], ids=["pre_norm", "post_norm"])
@pytest.mark.parametrize("decoder", [True, False])
def test_blocks_are_those_of_torch(first, decoder):
    torch.manual_seed(0)
    kind = torch.nn.TransformerDecoderLayer if decoder else torch.nn.TransformerEncoderLayer
    theirs = kind(D, HEADS, HIDDEN, dropout=0.0, activation="gelu", batch_first=True, norm_first=first)
    with torch.no_grad():
        for leaf in theirs.parameters():
            leaf.add_(0.3 * torch.randn(leaf.shape))
    x, kv = (np.random.default_rng(i).normal(size=(3, n, D)).astype(np.float32) for i, n in ((0, 5), (1, 4)))
    if decoder:
        hidden = torch.ones(5, 5).triu(1).bool()
        expected = theirs(torch.tensor(x), torch.tensor(kv), tgt_mask=hidden)
    else:
        expected = theirs(torch.tensor(x))
    how = {"arrange": pre_norm if first else post_norm, "activation": lambda a: jax.nn.gelu(a, approximate=False)}
    run = jax.jit(lambda p, x, kv: transformer_block(p, x, kv, key=None, causal=decoder, **how))
    found = run(params_of(theirs, decoder), x, kv if decoder else None)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=2e-5)


def test_parallel_is_its_formula():
    p = init(transformer_block_spec(D, HEADS, HIDDEN, parallel=True), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, D))
    h = layer_norm(p["norm1"], x)
    expected = x + attention(p["attention"], h, causal=True) + feed_forward(p, h)
    np.testing.assert_allclose(transformer_block(p, x, key=None, arrange=parallel), expected, atol=1e-6)


def test_cross_attention_has_the_norm_of_queries_and_keys_that_it_is_given():
    norm = partial(rms_norm, epsilon=1.0)
    p = init(attention_spec(D, HEADS, d_kv=6, qk_norm=True), jax.random.key(0))
    x, kv = (np.random.default_rng(i).normal(size=(3, n, d)).astype(np.float32) for i, n, d in ((0, 5, D), (1, 4, 6)))
    wanted = attention(p, x, kv, qk_norm=norm)
    assert abs(wanted - attention(p, x, kv)).max() > 1e-3
    found = cross_attention(p, x, cross_cache(p, kv, qk_norm=norm), qk_norm=norm)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    block = init(transformer_block_spec(D, HEADS, HIDDEN, d_cross=6), jax.random.key(0)) | {"cross": p}
    own = cross_cache(p, kv, qk_norm=norm)
    kept, whole = (transformer_block(block, x, given, key=None, qk_norm=norm) for given in (own, kv))
    np.testing.assert_allclose(kept, whole, rtol=1e-5, atol=1e-6)
    assert abs(whole - transformer_block(block, x, kv, key=None)).max() > 1e-4


X = jnp.ones((5, D))


@pytest.mark.parametrize(
    ("options", "kv", "message"),
    [
        ({}, X, r"found params with no cross-attention, and a kv"),
        ({"d_cross": D}, None, r"found params with cross-attention, and no kv"),
        ({"parallel": True}, None, r"pre_norm: expected params, a dict with 'norm1', 'norm2'"),
    ],
)
def test_bad_input_is_one_clear_error(options, kv, message):
    p = init(transformer_block_spec(D, HEADS, HIDDEN, **options), jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        transformer_block(p, X, kv, key=None)
